# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node: cameras in, people out, over rclpy.

unconfigured --configure--> inactive (models loaded, publishers there) --activate--> active
(listening). The executor's thread only takes messages and answers services; the networks run on
the session's thread, so that no frame delays a parameter, a service or a transition.
"""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from alphapose_ros.base.errors import AlphaPoseError, ConfigError
from alphapose_ros.base.records import Frame, FrameResult
from alphapose_ros.config import PipelineConfig
from alphapose_ros.front.health import ERROR, OK, WARN, Health
from alphapose_ros.front.intake import LiveFrame
from alphapose_ros.ros.adapters import Adapters
from alphapose_ros.ros.camera import RosCamera
from alphapose_ros.ros.diagnostics import Diagnostics
from alphapose_ros.ros.lifecycle import refuse_impossible
from alphapose_ros.ros.logs import RosHandler
from alphapose_ros.ros.manager_bond import ManagerBond
from alphapose_ros.ros.parameters import Configs, NodeParameters
from alphapose_ros.ros.transforms import Transforms
from alphapose_ros.session import Session

logger = logging.getLogger("alphapose_ros.node")

MakePipeline = Callable[[PipelineConfig], Any]
_LOOK_S = 0.5  # between two looks at the publishers


class PoseNode(LifecycleNode):
    """See the module.

    Args:
        make_pipeline: loads the models of a configuration; called at each configure.
        name: of the node, before remapping.
        options: of :class:`rclpy.node.Node`, such as ``context``.

    Raises:
        ConfigError: an unknown parameter, a wrong type or a value out of range.
    """

    def __init__(
        self,
        make_pipeline: MakePipeline,
        *,
        name: str = "alphapose_ros",
        **options: Any,
    ) -> None:
        super().__init__(name, automatically_declare_parameters_from_overrides=True, **options)
        self._log_handler = RosHandler(self.get_logger())
        self._log_handler.attach()
        refuse_impossible(self)
        self._make_pipeline = make_pipeline
        self._pipeline: Any = None
        self._session: Session | None = None
        self._transforms: Transforms | None = None
        self._cameras: dict[str, RosCamera] = {}
        self._adapters: Adapters | None = None
        self._active, self._enabled, self._failure = False, True, ""
        self.parameters = NodeParameters(self, self._on_change)
        self._bond = ManagerBond(self) if self.parameters.configs[1].bond else None
        self.create_service(Trigger, "~/reset_identities", self._on_reset_identities)
        self.create_service(SetBool, "~/enable", self._on_enable)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_LOOK_S, self._follow_publishers, clock=steady)
        tasks: list[tuple[str, Callable[[], Health]]] = [("node", self._judge)]
        for camera in self.parameters.configs[1].cameras:
            tasks.append((camera.name, partial(self._judge_camera, camera.name)))
        self._diagnostics = Diagnostics(self, tasks)

    def autostart(self) -> None:
        """Configure and activate, as a manager would."""
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    # ---- transitions: rclpy swallows what they raise, so each answers for itself

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters and load the models, once for all cameras."""
        return self._transition("configure", self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen."""
        return self._transition("activate", self._activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening; the models stay."""
        return self._transition("deactivate", self._deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the models."""
        return self._transition("cleanup", self._release)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop whatever runs."""
        return self._transition("shutdown", self._release)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After a failed transition: free everything, so that configure can be tried again."""
        failure = self._failure
        done = self._transition("clean up after the error", self._release)
        self._failure = failure
        return done

    def _transition(self, name: str, act: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            act()
        except AlphaPoseError as error:
            self._failure = f"cannot {name}: {error}"
            logger.error("%s", self._failure)
            return TransitionCallbackReturn.ERROR
        except Exception as error:  # a bug or a library's; rclpy would swallow it
            self._failure = f"cannot {name}: {type(error).__name__}: {error}"
            logger.exception("%s", self._failure)
            return TransitionCallbackReturn.ERROR
        self._failure = ""
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        pipeline_config, config = self.parameters.configs
        self._pipeline = self._make_pipeline(pipeline_config)
        self._session = Session(
            self._pipeline,
            self._on_result,
            images_at_once=self._pipeline.images_at_once,
            clock_ns=lambda: self.get_clock().now().nanoseconds,
        )
        self._adapters = Adapters(self, config)
        needs_tf = config.target_frame or config.fixed_frame
        self._transforms = Transforms(self) if needs_tf else None
        for camera in config.cameras:
            self._cameras[camera.name] = RosCamera(
                self,
                config,
                camera,
                self._pipeline.skeleton,
                self._session.submit,
                self._session.reset,
                self._transforms,
            )

    def _activate(self) -> None:
        self._active = True
        self._listen()
        if self._bond is not None:
            self._bond.form()

    def _deactivate(self) -> None:
        self._active = False
        if self._bond is not None:
            self._bond.part()
        self._listen()

    def _release(self) -> None:
        self._let_go()
        free_memory()

    def _let_go(self) -> None:
        self._active = False
        if self._bond is not None:
            self._bond.part()
        if self._session is not None:
            self._session.close()
        for camera in self._cameras.values():
            camera.close()
        if self._adapters is not None:
            self._adapters.close()
        if self._transforms is not None:
            self._transforms.close()
        self._cameras, self._adapters, self._transforms = {}, None, None
        self._session = self._pipeline = None

    def destroy_node(self) -> None:
        """Let go of everything, whatever the state; the process collects what remains."""
        self._transition("close", self._let_go)
        if self._bond is not None:
            self._bond.close()
        self._log_handler.detach()
        super().destroy_node()

    # ---- while it runs

    def _listen(self) -> None:
        """Listen exactly while active and enabled."""
        for name, camera in self._cameras.items():
            if self._active and self._enabled:
                camera.input.open()
                logger.info("%s: %s -> %s", name, camera.input.topic, camera.topic)
            else:
                camera.input.close()

    def _on_result(self, frame: Frame, result: FrameResult) -> None:
        """On the session's thread."""
        camera, adapters = self._cameras.get(frame.camera), self._adapters
        if camera is None or adapters is None or not (self._active and self._enabled):
            return
        assert isinstance(frame, LiveFrame)
        adapters.publish(frame, result, camera.publish(frame, result))

    def _on_change(self, configs: Configs, changed: set[str]) -> None:
        """Parameters were set: take over what can change live, refuse the rest.

        Raises:
            ConfigError: names what cannot change now.
        """
        if self._session is None:
            return
        fixed = self.parameters.fixed(changed)
        if fixed:
            raise ConfigError(
                f"{', '.join(fixed)}: cannot change while the models are loaded; "
                f"first: ros2 lifecycle set {self.get_fully_qualified_name()} cleanup"
            )
        pipeline, config = configs
        assert self._adapters is not None
        parts: list[Any] = [*self._cameras.values(), self._adapters]

        def apply() -> None:
            self._pipeline.reconfigure(pipeline)
            for part in parts:
                part.configure(config)

        self._session.between_frames(apply)

    def _on_reset_identities(self, _request: Any, response: Any) -> Any:
        session = self._session
        response.success = session is not None
        if session is None:
            response.message = "the node is not configured: nobody is known"
            return response
        session.reset()
        parts: list[Any] = [*self._cameras.values(), self._adapters]
        for part in parts:
            session.between_frames(part.reset)
        response.message = "everybody is forgotten; numbers go on"
        return response

    def _on_enable(self, request: Any, response: Any) -> Any:
        self._enabled = bool(request.data)
        self._listen()
        response.success = True
        state = "listening" if self._active and self._enabled else "not listening"
        response.message = f"{'enabled' if self._enabled else 'disabled'}, {state}"
        return response

    def _follow_publishers(self) -> None:
        for camera in self._cameras.values():
            camera.input.follow()

    # ---- health

    def _judge(self) -> Health:
        values = {"active": str(self._active), "enabled": str(self._enabled)}
        if self._failure:
            return Health(ERROR, self._failure, values)
        if self._pipeline is None:
            return Health(WARN, "not configured: no models are loaded", values)
        device = str(getattr(self._pipeline, "device", "cpu"))
        values["device"] = device
        sim_time = self.get_parameter("use_sim_time").value
        if sim_time and not self.get_clock().now().nanoseconds:
            return Health(ERROR, "use_sim_time is set, and nothing publishes /clock", values)
        if not self._active:
            return Health(WARN, "inactive: the node does not listen", values)
        if not self._enabled:
            return Health(WARN, "disabled by ~/enable: the node does not listen", values)
        if device == "cpu" and self.parameters.configs[0].device == "auto":
            text = "no GPU is usable: the networks run on the CPU (device: cpu accepts that)"
            return Health(WARN, text, values)
        return Health(OK, "running", values)

    def _judge_camera(self, name: str) -> Health:
        camera, session = self._cameras.get(name), self._session
        if camera is None or session is None or not camera.input.listening:
            return Health(WARN, "not listening", {})
        return camera.judge(session.statistics().get(name))


def free_memory() -> None:
    """Give the models' memory back, the GPU's too."""
    gc.collect()
    torch = sys.modules.get("torch")  # whoever loaded models has imported it
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()

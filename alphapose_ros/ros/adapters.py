# SPDX-License-Identifier: Apache-2.0
"""What other packages' messages make of the results, each off unless a parameter asks for it."""

from __future__ import annotations

from typing import Any

import tf2_ros
from rclpy.node import Node

from alphapose_ros.base.records import FrameResult, Spatial
from alphapose_ros.front.config import CameraTopics, NodeConfig
from alphapose_ros.front.intake import LiveFrame
from alphapose_ros.front.topics import output_name
from alphapose_ros.output.detections import detection_array
from alphapose_ros.output.humans import HumansTopic, HumansWriter, body_frames
from alphapose_ros.output.messages import ros_header
from alphapose_ros.output.target import TargetSelector, target_pose, target_transform
from alphapose_ros.ros.classes import RosClasses
from alphapose_ros.ros.publisher import RosPublisher


class Adapters:
    """All adapters of the node; results are given on the session's thread.

    Args:
        node, config: where to speak and of what.

    Raises:
        MissingDependencyError: the messages of an adapter that is asked for are not installed.
    """

    def __init__(self, node: Node, config: NodeConfig) -> None:
        self._node, self._config, self._classes = node, config, RosClasses()
        self._publishers: list[RosPublisher] = []
        self._detections: dict[str, RosPublisher] = {}
        self._humans: Humans | None = None
        self._targets: dict[str, RosPublisher] = {}
        self._selectors: dict[str, TargetSelector] = {}
        self._broadcaster: Any = None
        try:
            self._open()
        except Exception:
            self.close()  # nobody else knows those that were made before
            raise

    def _open(self) -> None:
        config = self._config
        self._detections = {
            camera.name: self._publisher(camera, "detections", "vision_msgs/msg/Detection2DArray")
            for camera in (config.cameras if config.detections else ())
        }
        if config.humans:
            self._humans = Humans(self._node, self._classes)
            self._humans.open()
        self.configure(config)

    def configure(self, config: NodeConfig) -> None:
        """Take over what may change while the node runs: the target."""
        old, self._config = self._config, config
        wanted = config.target, config.target_id, config.target_hold_s
        if wanted != (old.target, old.target_id, old.target_hold_s) or not self._selectors:
            self._selectors = {
                camera.name: TargetSelector(
                    config.target, identity=config.target_id, hold_s=config.target_hold_s
                )
                for camera in config.cameras
            }
        if config.target != "off" and not self._targets:
            self._targets = {
                camera.name: self._publisher(camera, "target", "geometry_msgs/msg/PoseStamped")
                for camera in config.cameras
            }
        if (config.target != "off" or config.humans) and self._broadcaster is None:
            self._broadcaster = tf2_ros.TransformBroadcaster(self._node)

    def reset(self) -> None:
        """Forget the target."""
        for selector in self._selectors.values():
            selector.reset()

    def publish(self, frame: LiveFrame, result: FrameResult, spatial: Spatial) -> None:
        """Say one frame's people in every way that was asked for.

        Detections carry the stamp of their image. What is followed through time, as a target or
        a transform is, needs a time: that of receipt where the image has no stamp.
        """
        camera = result.header.camera
        detections = self._detections.get(camera)
        if detections is not None and detections.matched:
            detections.publish(detection_array(frame.answer(result), self._classes))
        transforms = self._publish_target(camera, result, spatial)
        if self._humans is not None:
            self._humans.publish(result)
            transforms += self._body_transforms(result, spatial)
        if transforms:
            self._broadcaster.sendTransform(transforms)

    def close(self) -> None:
        """Speak no more."""
        for publisher in self._publishers:
            publisher.destroy()
        if self._humans is not None:
            self._humans.close()
        if self._broadcaster is not None:  # it has no close of its own
            self._node.destroy_publisher(self._broadcaster.pub_tf)

    def _publisher(self, camera: CameraTopics, name: str, kind: str) -> RosPublisher:
        topic = output_name(self._config, camera, name)
        self._publishers.append(RosPublisher(self._node, topic, kind))
        return self._publishers[-1]

    def _publish_target(self, camera: str, result: FrameResult, spatial: Spatial) -> list[Any]:
        """Publish the target's pose; its transform, if it has a place."""
        if self._config.target == "off":
            return []
        row = self._selectors[camera].select(result, spatial)
        pose = target_pose(result, spatial, row, self._classes)
        if pose is None:
            return []
        self._targets[camera].publish(pose)
        return [target_transform(result, spatial, row, self._classes)]

    def _body_transforms(self, result: FrameResult, spatial: Spatial) -> list[Any]:
        classes, out = self._classes, []
        header = ros_header(result.header, classes)
        header.frame_id = spatial.frame
        for child, (px, py, pz), (x, y, z, w) in body_frames(result, spatial):
            transform = classes.Transform(
                translation=classes.Vector3(x=px, y=py, z=pz),
                rotation=classes.Quaternion(x=x, y=y, z=z, w=w),
            )
            out.append(
                classes.TransformStamped(header=header, child_frame_id=child, transform=transform)
            )
        return out


class Humans:
    """Publishers of REP-155's topics, which come and go with the people."""

    def __init__(self, node: Node, classes: RosClasses) -> None:
        self._node, self._classes, self._writer = node, classes, HumansWriter()
        self._publishers: dict[str, RosPublisher] = {}

    def open(self) -> None:
        """Make the topics that are there when nobody is seen."""
        for topic in self._writer.topics:
            self._open(topic)

    def publish(self, result: FrameResult) -> None:
        """Say one camera's people; topics appear before they are used."""
        frame = self._writer.write(result, self._classes, self._wanted)
        for topic in frame.appeared:
            self._open(topic)
        for name, message in frame.messages:
            self._publishers[name].publish(message)
        for name in frame.vanished:
            self._retire(self._publishers.pop(name))

    def close(self) -> None:
        """Remove all topics."""
        for publisher in self._publishers.values():
            publisher.destroy()
        self._publishers = {}

    def _retire(self, publisher: RosPublisher) -> None:
        """Destroy it on the executor's thread, which may be waiting for its events just now."""
        executor = self._node.executor
        if executor is None:
            publisher.destroy()
        else:
            executor.create_task(publisher.destroy)

    def _wanted(self, name: str) -> bool:
        publisher = self._publishers.get(name)
        return publisher is None or bool(publisher.matched)

    def _open(self, topic: HumansTopic) -> None:
        depth = 1 if topic.latched else 10
        self._publishers[topic.name] = RosPublisher(
            self._node, topic.name, topic.type, depth=depth, latched=topic.latched
        )

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ROS 2 and this package over it, then the command.
set -e
# shellcheck disable=SC1090
source "/opt/ros/${ROS_DISTRO}/setup.bash"
# shellcheck disable=SC1090,SC1091
source "${OVERLAY}/setup.bash"
exec "$@"

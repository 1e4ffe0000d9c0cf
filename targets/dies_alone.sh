#!/bin/sh
# Guilty: a wrapper without a trap. The signal ends the shell alone, and its child serves on: `sh dies_alone.sh COMMAND...`.
"$@"
status=$?
exit "$status"

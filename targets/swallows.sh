#!/bin/sh
# Guilty: a wrapper with a clean-up trap. The shell runs the trap only when its foreground child has ended, and nobody
# tells the child: `sh swallows.sh COMMAND...`. With `exec "$@"`, or the signal sent to the group, all would be well.
trap 'echo "wrapper: cleaning up"' TERM
"$@"
status=$?
exit "$status"

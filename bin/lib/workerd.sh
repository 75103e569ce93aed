#!/bin/sh
# workerd, in this very process, and beside it one that ends it when whoever started it has been killed: by itself it would stay.
starter=$PPID
(
  while kill -0 "$starter" && kill -0 $$; do sleep 1; done
  kill -0 "$starter" || kill -9 $$
) </dev/null >/dev/null 2>&1 3>&- &
exec "$BADGEKIT_WORKERD" "$@"

#!/bin/sh
# Redis with its password out of the process list. It only carries messages, but keeps them over a restart.
exec redis-server - <<END
requirepass $REDIS_PASSWORD
bind * -::*
dir /data
appendonly yes
appendfsync everysec
save ""
maxmemory 128mb
maxmemory-policy noeviction
END

#!/bin/sh
# As cron does: a job again and again, one at a time. Its argument is the job's folder.
while :; do
  sh "$1/job.sh" "$1"
  sleep 0.2
done

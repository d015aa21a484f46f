"""The schedule: what is trained when, by one leader, in children that may be killed at any time.

`policies` is what ops want, `crons` reads their times, `book` has the jobs and which may run now, `runs` a training in
a child process. `desk` writes what people change, `leader` does the work, `process` elects it. The durable truth is in
two topics, policies and jobs; APScheduler keeps time in memory only.
"""

"""accept_runtimes.py: language runtimes with threads of their own: node, java, python3.

Goal and method as in accept.py.
"""

from accept_harness import WORK, Case

# Without a folder in /tmp for tools that nobody uses here; 256 MiB is ample for the work.
JAVA_OPTIONS = ("-XX:-UsePerfData", "-Xmx256m")


def run_node(box):
    return box.run(["node", WORK / "node_work.js"])


def run_java(box):
    javac_options = [f"-J{option}" for option in JAVA_OPTIONS]
    box.run(["javac", *javac_options, "-d", box.dir, WORK / "java_work.java"])
    return "".join(box.run(["java", *JAVA_OPTIONS, collector, "-cp", box.dir, "AcceptWork"])
                   for collector in ("-XX:+UseG1GC", "-XX:+UseParallelGC"))


def run_python(box):
    return box.run(["/usr/bin/python3", "-B", WORK / "python_work.py"],
                   env={"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "1"})


CASES = (
    Case("node", run_node, ("node",)),
    Case("java", run_java, ("javac", "java")),
    Case("python3", run_python, ("python3",)),
)

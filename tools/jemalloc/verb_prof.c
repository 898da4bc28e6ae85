/* verb_prof.c: jemalloc prof on|off|dump|status PID. See verb.h.
 *
 * Status is read from the process, which need not run for it; the other actions are requests.
 */
#include "live_request.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TIMEOUT_S_DEFAULT = 10, TIMEOUT_S_MAX = 24 * 3600 };

static struct {
    int as_json;
    int timeout_s;
    char *file;
} given;

static struct poptOption prof_options[] = {
    {"out", 'o', POPT_ARG_STRING, &given.file, 0,
     "dump: where the process writes the profile, in place of its own choice", "FILE"},
    {"timeout", 't', POPT_ARG_INT, &given.timeout_s, 0,
     "Seconds to wait for a process that does not allocate (10)", "SECONDS"},
    {"json", '\0', POPT_ARG_NONE, &given.as_json, 0, "Write one JSON object", NULL},
    {"help", 'h', POPT_ARG_NONE, NULL, 'h', "This text", NULL},
    POPT_TABLEEND};

struct prof_action {
    const char *name;
    enum outside_action action; /* OUTSIDE_NONE: reads only */
    const char *done;           /* what people are told; NULL: the name of the profile */
};

static const struct prof_action prof_actions[] = {
    {"on", OUTSIDE_ON, "profiling is on"},
    {"off", OUTSIDE_OFF, "profiling is off"},
    {"dump", OUTSIDE_DUMP, NULL},
    {"status", OUTSIDE_NONE, NULL},
};

/* The command line, read. */
struct prof_task {
    const struct prof_action *action;
    int number;
    char *path; /* NULL: the process chooses; else absolute, or as it was given */
};

static const char prof_examples[] =
    "\n"
    "  on       samples from now on; what was allocated before is not in profiles\n"
    "  off      takes no more samples; those of blocks that live are kept\n"
    "  dump     has the process write a profile, and prints the name of the file\n"
    "  status   tells whether it samples; the process need not run for that\n"
    "\n"
    "The process must use this library, and you must be allowed to trace it: its own user (unless\n"
    "kernel.yama.ptrace_scope forbids it) or root. It acts when it next allocates.\n"
    "\n"
    "Examples:\n"
    "  jemalloc prof on 1234                  Begin to sample in process 1234\n"
    "  jemalloc prof dump 1234                Write a profile there: /srv/jeprof.1234.0.m0.heap\n"
    "  jeprof --text $(jemalloc prof dump 1234)    ... and show it\n"
    "  jemalloc prof dump -o /var/tmp/a.heap 1234  Write it under another name\n"
    "  jemalloc prof status --json 1234       For programs\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 usage, 3 not supported, 4 missing, 5 cannot tell.\n";

static const struct prof_action *find_action(const char *name)
{
    for (size_t i = 0; i < sizeof prof_actions / sizeof prof_actions[0]; i++) {
        if (strcmp(prof_actions[i].name, name) == 0) {
            return &prof_actions[i];
        }
    }
    return NULL;
}

static bool read_number(const char *text, int *number)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    *number = (int)value;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && value > 0 &&
           value <= INT_MAX;
}

static enum verb_exit complain(const struct prof_task *task, enum verb_exit code, const char *text)
{
    fprintf(stderr, "jemalloc prof: %s\n", text);
    if (given.as_json) {
        json_t *object =
            json_pack("{s:b, s:s, s:i}", "done", 0, "error", text, "exit_code", (int)code);
        if (task->action != NULL) {
            json_object_set_new(object, "action", json_string(task->action->name));
        }
        if (task->number > 0) {
            json_object_set_new(object, "pid", json_integer(task->number));
        }
        json_dumpf(object, stdout, JSON_INDENT(2));
        printf("\n");
        json_decref(object);
    }
    return code;
}

/* Names in a process may be any bytes; JSON has text alone. */
static json_t *text_of(const char *bytes)
{
    json_t *text = json_string(bytes);
    return text != NULL ? text : json_string("");
}

static json_t *describe(const struct live_process *process, const struct prof_task *task)
{
    json_t *object = json_pack("{s:s, s:b, s:i}", "action", task->action->name, "done", 1, "pid",
                               process->number);
    json_object_set_new(object, "name", text_of(process->name));
    return object;
}

static void write_object(json_t *object)
{
    json_dumpf(object, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(object);
}

static bool tell_status(struct live_process *process, const struct live_block *at,
                        const struct prof_task *task)
{
    struct outside_block block;
    if (!live_block_read(process, at, &block)) {
        return live_process_fail(process, VERB_MISSING, "process %d has ended", process->number);
    }
    bool is_active = block.is_active != 0;
    bool has_sampled = block.has_sampled != 0;
    if (given.as_json) {
        json_t *object = describe(process, task);
        json_object_set_new(object, "active", json_boolean(is_active));
        json_object_set_new(object, "has_profile", json_boolean(has_sampled));
        json_object_set_new(object, "lg_sample",
                            has_sampled ? json_integer((json_int_t)block.lg_period) : json_null());
        json_object_set_new(object, "request_waits", json_boolean(block.request != 0));
        json_object_set_new(object, "stopped", json_boolean(live_process_is_stopped(process)));
        json_object_set_new(object, "library", text_of(at->module));
        write_object(object);
        return true;
    }
    printf("process %d (%s): profiling is %s", process->number, process->name,
           is_active ? "on" : "off");
    if (has_sampled) {
        printf(", a sample each 2^%u bytes", (unsigned)block.lg_period);
    } else {
        printf(", and was never on");
    }
    printf("\nlibrary: %s\n", at->module);
    return true;
}

/* What an error of the library means. */
static bool fail_refused(struct live_process *process, const struct live_answer *answer)
{
    int number = process->number;
    switch (answer->error) {
    case ENOENT:
        return live_process_fail(process, VERB_FAILED,
                                 "profiling was never on in process %d, so there is nothing to "
                                 "write: jemalloc prof on %d",
                                 number, number);
    case EINVAL:
        return live_process_fail(process, VERB_FAILED,
                                 "process %d was told to write no profiles (prof_prefix is empty): "
                                 "name a file by --out",
                                 number);
    case EFAULT:
        return live_process_fail(process, VERB_FAILED,
                                 "process %d cannot write %s: the folder is missing, full or not "
                                 "its own",
                                 number, answer->path);
    case EOPNOTSUPP:
        return live_process_fail(process, VERB_UNSUPPORTED,
                                 "process %d has a C library in which profiling cannot begin from "
                                 "outside (musl, glibc before 2.35): let it call "
                                 "mallctl(\"prof.active\"), or start it with prof_unwind:fp",
                                 number);
    default:
        return live_process_fail(process, VERB_UNSUPPORTED, "process %d refused it: %s", number,
                                 strerror(answer->error));
    }
}

static bool tell_done(struct live_process *process, const struct live_answer *answer,
                      const struct prof_task *task)
{
    bool has_file = task->action->action == OUTSIDE_DUMP;
    char *file = has_file ? live_process_path(process, answer->path) : NULL;
    if (has_file && file == NULL) {
        return live_process_fail(process, VERB_UNCERTAIN, "there is no memory");
    }
    if (given.as_json) {
        json_t *object = describe(process, task);
        if (has_file) {
            json_object_set_new(object, "file", text_of(file));
        }
        write_object(object);
    } else if (has_file) {
        printf("%s\n", file);
    } else {
        printf("process %d (%s): %s\n", process->number, process->name, task->action->done);
    }
    free(file);
    return true;
}

static bool ask(struct live_process *process, const struct live_block *at,
                const struct prof_task *task)
{
    struct live_request request = {
        .action = task->action->action,
        .timeout_ms = (unsigned)given.timeout_s * 1000,
        .path = task->path,
    };
    struct live_answer answer;
    if (live_process_is_stopped(process)) {
        return live_process_fail(process, VERB_FAILED,
                                 "process %d (%s) is stopped: it can answer when it goes on",
                                 process->number, process->name);
    }
    if (!live_request_make(process, at, &request, &answer)) {
        return false;
    }
    return answer.error != 0 ? fail_refused(process, &answer) : tell_done(process, &answer, task);
}

/* The process opens a file by its own names: what is relative here may be something else there. */
static bool settle_path(struct live_process *process, struct prof_task *task)
{
    char folder[PATH_MAX];
    if (given.file == NULL) {
        return true;
    }
    if (given.file[0] != '/' && !live_process_shares_root(process)) {
        return live_process_fail(process, VERB_USAGE,
                                 "process %d has another root folder: --out must be a whole path "
                                 "in there, from / on",
                                 process->number);
    }
    bool is_absolute = given.file[0] == '/';
    if (!is_absolute && getcwd(folder, sizeof folder) == NULL) {
        return live_process_fail(process, VERB_FAILED, "the working folder is not known: %s",
                                 strerror(errno));
    }
    int length = is_absolute ? asprintf(&task->path, "%s", given.file)
                             : asprintf(&task->path, "%s/%s", folder, given.file);
    if (length < 0 || length >= OUTSIDE_PATH_BYTES) {
        task->path = length < 0 ? NULL : task->path;
        return live_process_fail(process, VERB_USAGE, "the name of --out is too long");
    }
    return true;
}

static enum verb_exit run_task(struct prof_task *task)
{
    struct live_process process;
    struct live_block at;
    enum verb_exit result = VERB_DONE;
    bool is_done = live_process_open(&process, task->number) && live_block_find(&process, &at) &&
                   settle_path(&process, task) &&
                   (task->action->action == OUTSIDE_NONE ? tell_status(&process, &at, task)
                                                         : ask(&process, &at, task));
    if (!is_done) {
        result = complain(task, process.exit, process.problem);
    }
    live_process_close(&process);
    free(task->path);
    return result;
}

/* Reads the words that are no options. False, with a line, when they make no task. */
static bool read_words(poptContext context, struct prof_task *task)
{
    const char *action = poptGetArg(context);
    const char *number = poptGetArg(context);
    char line[256];
    if (action == NULL || number == NULL || poptPeekArg(context) != NULL) {
        complain(task, VERB_USAGE, "an action and a PID are needed (jemalloc prof --help)");
        return false;
    }
    task->action = find_action(action);
    if (task->action == NULL) {
        snprintf(line, sizeof line, "%.100s: there is no such action (on, off, dump, status)",
                 action);
        complain(task, VERB_USAGE, line);
        return false;
    }
    if (!read_number(number, &task->number)) {
        snprintf(line, sizeof line, "%.100s: this is no number of a process", number);
        complain(task, VERB_USAGE, line);
        return false;
    }
    if (given.file != NULL && task->action->action != OUTSIDE_DUMP) {
        complain(task, VERB_USAGE, "--out is for dump alone");
        return false;
    }
    if (given.file != NULL && given.file[0] == '\0') {
        complain(task, VERB_USAGE, "--out needs the name of a file");
        return false;
    }
    if (given.timeout_s < 0 || given.timeout_s > TIMEOUT_S_MAX) {
        complain(task, VERB_USAGE, "--timeout is a number of seconds, up to a day");
        return false;
    }
    return true;
}

enum verb_exit verb_prof(int count, char **arguments)
{
    struct prof_task task = {.action = NULL};
    enum verb_exit result = VERB_USAGE;
    int code;
    given.timeout_s = TIMEOUT_S_DEFAULT;
    poptContext context =
        poptGetContext("jemalloc prof", count, (const char **)(void *)arguments, prof_options, 0);
    poptSetOtherOptionHelp(context, "on|off|dump|status PID [OPTION...]");
    while ((code = poptGetNextOpt(context)) > 0) {
        poptPrintHelp(context, stdout, 0);
        printf("%s", prof_examples);
        result = VERB_DONE;
        break;
    }
    if (code < -1) {
        char line[256];
        snprintf(line, sizeof line, "%.100s: %s (jemalloc prof --help)",
                 poptBadOption(context, POPT_BADOPTION_NOALIAS), poptStrerror(code));
        complain(&task, VERB_USAGE, line);
    } else if (code == -1 && read_words(context, &task)) {
        result = run_task(&task);
    }
    poptFreeContext(context);
    free(given.file);
    given.file = NULL;
    return result;
}

/* death_check.c: judges the end of a child that made a mistake. See death_check.h.
 *
 * Marks tell the moments apart: 1 the mistaken call returned, 2 the explicit flush returned. A
 * child that comes to its end survived the mistake, which is the silent corruption that must not
 * be.
 */
#include "death_check.h"

#include <jemalloc/jemalloc.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "child_run.h"

enum {
    MARK_RETURNED = 1,
    MARK_FLUSHED = 2,
    LIMIT_SECONDS = 20,
    PRINTED_FAILURES_MAX = 25,
};

static const char line_start[] = "<jemalloc>: ";

struct mistake {
    void (*run)(void *argument);
    void *argument;
};

static unsigned checked_count;
static unsigned failed_count;
static unsigned flush_count; /* seen only by the flush */

static void *mistake_thread(void *argument)
{
    const struct mistake *mistake = argument;
    mistake->run(mistake->argument);
    child_mark(MARK_RETURNED);
    (void)mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
    child_mark(MARK_FLUSHED);
    return NULL;
}

static void mistake_in_thread(void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, mistake_thread, argument) == 0) {
        pthread_join(thread, NULL);
    }
}

static void mistake_direct(void *argument)
{
    const struct mistake *mistake = argument;
    mistake->run(mistake->argument);
    child_mark(MARK_RETURNED);
}

/* NULL, or what is wrong with the end of the child. */
static const char *complaint(const struct child_result *result, enum moment latest)
{
    const char *newline = strchr(result->text, '\n');
    if (result->hung) {
        return "it hangs";
    }
    if (result->signal == 0) {
        return "it survives";
    }
    if (result->signal != SIGABRT) {
        return "it dies by another signal than SIGABRT";
    }
    if (strncmp(result->text, line_start, sizeof line_start - 1) != 0) {
        return "the message does not begin with <jemalloc>:";
    }
    if (newline == NULL || newline[1] != '\0') {
        return "the message is not exactly one line";
    }
    if (latest == AT_ONCE && result->mark >= MARK_RETURNED) {
        return "the call itself does not see it, a later one does";
    }
    return NULL;
}

static bool judge(const char *name, enum moment latest, const struct child_result *result)
{
    const char *wrong = complaint(result, latest);
    checked_count++;
    if (wrong == NULL) {
        flush_count += result->mark >= MARK_RETURNED;
        return true;
    }
    failed_count++;
    if (failed_count <= PRINTED_FAILURES_MAX) {
        char ending[256];
        child_describe(result, ending, sizeof ending);
        printf("FAILED %s: %s (%s)\n", name, wrong, ending);
    }
    return false;
}

bool death_expect(const char *name, enum moment latest, void (*mistake)(void *argument),
                  void *argument)
{
    struct mistake both = {mistake, argument};
    struct child_result result;
    child_run(mistake_in_thread, &both, LIMIT_SECONDS, &result);
    return judge(name, latest, &result);
}

bool death_expect_quick(const char *name, void (*mistake)(void *argument), void *argument)
{
    struct mistake both = {mistake, argument};
    struct child_result result;
    child_run(mistake_direct, &both, LIMIT_SECONDS, &result);
    return judge(name, AT_ONCE, &result);
}

int death_report(void)
{
    printf("%u mistakes, %u ended as promised (%u of them at the flush), %u did not\n",
           checked_count, checked_count - failed_count, flush_count, failed_count);
    return failed_count == 0 && checked_count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

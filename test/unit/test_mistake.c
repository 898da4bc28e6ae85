/* test_mistake.c: goal: a mistake ends the program with one line, or runs the program's function
 * within its guard and returns.
 * Method: a child that dies; a hook and a guard that note the order in which they run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mistake.h"

static char order[8];
static char text[600];
static int state_of_guard;

static void *enter(void)
{
    strcat(order, "e");
    return &state_of_guard;
}

static void *enter_nowhere(void)
{
    strcat(order, "n");
    return NULL;
}

static void leave(void *state)
{
    assert_ptr_equal(state, &state_of_guard);
    strcat(order, "l");
}

static void hook(const char *message)
{
    strcat(order, "h");
    strcpy(text, message);
    errno = EDOM;
}

static void the_hook_runs_within_its_guard(void **state)
{
    (void)state;
    errno = EBADF;
    mistake_set_hook(hook, (struct mistake_guard){enter, leave});
    mistake("free(): %s of %p", "nothing", (void *)(uintptr_t)0x1234);
    assert_string_equal(text, "free(): nothing of 0x1234\n");
    assert_string_equal(order, "ehl");
    order[0] = '\0';
    mistake_set_hook(hook, (struct mistake_guard){enter_nowhere, leave});
    mistake("%u", 1u);
    assert_string_equal(order, "nh");
    assert_int_equal(errno, EBADF);
}

static void a_long_text_is_cut(void **state)
{
    (void)state;
    static char word[1000];
    memset(word, 'x', sizeof word - 1);
    mistake_set_hook(hook, (struct mistake_guard){enter_nowhere, leave});
    mistake("%s", word);
    assert_int_equal(strlen(text), 511);
    assert_int_equal(text[510], '\n');
}

static void without_a_hook_the_program_ends(void **state)
{
    (void)state;
    mistake_set_hook(NULL, (struct mistake_guard){enter, leave});
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        mistake("number %u", 7u);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    char line[64] = {0};
    assert_true(read(ends[0], line, sizeof line - 1) > 0);
    assert_string_equal(line, "<jemalloc>: number 7\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hook_runs_within_its_guard),
        cmocka_unit_test(a_long_text_is_cut),
        cmocka_unit_test(without_a_hook_the_program_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

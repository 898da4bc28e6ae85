/* session_line.c: where a session's commands come from. See session_line.h.
 *
 * libedit is used by the functions that it shares with readline, which is none of ours: its licence
 * asks for more than ours does.
 */
#include "session_line.h"

#include "session_command.h"

#include <editline/readline.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HISTORY_MAX = 1000 };

static const struct session_words *completed;
static bool is_edited;

/* libedit asks for one after the other, from state 0 on. */
static char *complete_command(const char *start, int state)
{
    static size_t index;
    const char *name;
    index = state == 0 ? 0 : index;
    while ((name = session_command_name(index)) != NULL) {
        index++;
        if (strncmp(name, start, strlen(start)) == 0) {
            return strdup(name);
        }
    }
    return NULL;
}

/* What is ignored begins with a dash, which stays. */
static char *complete_name(const char *start, int state)
{
    static size_t index;
    const char *dash = start[0] == '-' ? "-" : "";
    const char *wanted = start + strlen(dash);
    index = state == 0 ? 0 : index;
    while (index < completed->count) {
        const char *name = completed->names[index++];
        if (strncmp(name, wanted, strlen(wanted)) == 0) {
            size_t size = strlen(name) + 2;
            char *text = malloc(size);
            if (text != NULL) {
                snprintf(text, size, "%s%s", dash, name);
            }
            return text;
        }
    }
    return NULL;
}

static char **complete(const char *word, int start, int end)
{
    (void)end;
    rl_attempted_completion_over = 1; /* no names of files */
    return rl_completion_matches(word, start == 0 ? complete_command : complete_name);
}

/* The file of the history; "" without a home. */
static void history_path(char *path, size_t size)
{
    const char *home = getenv("HOME");
    *path = '\0';
    if (home != NULL && *home != '\0') {
        snprintf(path, size, "%s/.jeprof_history", home);
    }
}

void session_line_open(const struct session_words *words)
{
    char path[PATH_MAX];
    completed = words;
    is_edited = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    if (!is_edited) {
        return;
    }
    rl_readline_name = "jeprof";
    rl_initialize();
    rl_attempted_completion_function = complete;
    using_history();
    stifle_history(HISTORY_MAX);
    history_path(path, sizeof path);
    if (*path != '\0') {
        read_history(path); /* there is none the first time */
    }
}

/* A line of standard input, without its end. */
static char *read_plain(const char *prompt)
{
    char *line = NULL;
    size_t room = 0;
    fputs(prompt, stderr);
    if (getline(&line, &room, stdin) < 0) {
        free(line);
        return NULL;
    }
    line[strcspn(line, "\n")] = '\0';
    return line;
}

char *session_line_read(const char *prompt)
{
    if (!is_edited) {
        return read_plain(prompt);
    }
    char *line = readline(prompt);
    if (line != NULL && *line != '\0') {
        add_history(line);
    }
    return line;
}

void session_line_close(void)
{
    char path[PATH_MAX];
    history_path(path, sizeof path);
    if (is_edited && *path != '\0') {
        write_history(path);
    }
    completed = NULL;
}

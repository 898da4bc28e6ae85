/* source_text.c: lines of source files. See source_text.h.
 *
 * Paths are compared newest first: lines are asked for file by file.
 */
#include "source_text.h"

#include "complaint.h"
#include "text_pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The whole file, ended by a NUL; NULL: errno says why not. */
static char *read_all(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (file == NULL) {
        return NULL;
    }
    char *text = NULL;
    errno = EISDIR; /* what is no file has no lines */
    if (fstat(fileno(file), &status) == 0 && S_ISREG(status.st_mode)) {
        size_t size = (size_t)status.st_size;
        text = memory_take(size + 1, 1);
        text[fread(text, 1, size, file)] = '\0';
    }
    fclose(file);
    return text;
}

static void cut_lines(struct source_file *file)
{
    size_t count = 1;
    for (const char *at = strchr(file->text, '\n'); at != NULL; at = strchr(at + 1, '\n')) {
        count++;
    }
    file->lines = memory_take(count, sizeof *file->lines);
    for (char *line = file->text; *line != '\0';) {
        char *end = line + strcspn(line, "\n");
        file->lines[file->line_count++] = line;
        line = *end != '\0' ? end + 1 : end;
        *end = '\0';
        if (end > file->lines[file->line_count - 1] && end[-1] == '\r') {
            end[-1] = '\0';
        }
    }
}

static struct source_file *find_file(struct source_text *source, const char *path)
{
    for (size_t i = source->file_count; i > 0; i--) {
        if (strcmp(source->files[i - 1].path, path) == 0) {
            return &source->files[i - 1];
        }
    }
    source->files = memory_resize(source->files, source->file_count + 1, sizeof *source->files);
    struct source_file *file = &source->files[source->file_count++];
    *file = (struct source_file){.path = path, .text = read_all(path)};
    if (file->text != NULL) {
        cut_lines(file);
    } else {
        complain("%s: %s", path, strerror(errno));
    }
    return file;
}

const char *source_text_line(struct source_text *source, const char *path, size_t number)
{
    const struct source_file *file = find_file(source, path);
    return number > 0 && number <= file->line_count ? file->lines[number - 1] : NULL;
}

void source_text_close(struct source_text *source)
{
    for (size_t i = 0; i < source->file_count; i++) {
        free(source->files[i].text);
        free(source->files[i].lines);
    }
    free(source->files);
    *source = (struct source_text){.files = NULL};
}

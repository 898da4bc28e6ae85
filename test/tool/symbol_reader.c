/* symbol_reader.c: prints the frames of addresses, for comparisons with other readers and counts.
 *
 * Goal: what jeprof reads of ELF files can be looked at alone. Method: all that symbols.h has, on
 * the mappings and addresses that come in.
 *
 *     symbol_reader [--quiet] [--one-by-one] [PROGRAM] <INPUT
 *
 * INPUT holds mappings as /proc/PID/maps shows them, then addresses in hexadecimal, one a line. For
 * each address: the address, then each frame, innermost first, as "function file:line". The last
 * line on stderr tells the number of addresses, of those with frames, and the memory it took.
 */
#include "symbols.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct input {
    struct mapping *mappings;
    size_t mapping_count;
    uint64_t *addresses;
    size_t address_count;
};

static void tell(void *context, const char *line)
{
    (void)context;
    fprintf(stderr, "%s\n", line);
}

static void *enlarge(void *array, size_t count, size_t size)
{
    /* Doubled at each power of two. */
    if ((count & (count - 1)) == 0) {
        array = reallocarray(array, count > 0 ? 2 * count : 1, size);
    }
    if (array == NULL) {
        exit(1);
    }
    return array;
}

static void read_line(struct input *input, char *line)
{
    struct mapping mapping = {.path = ""};
    char rights[8];
    int path = 0;
    line[strcspn(line, "\n")] = '\0';
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*s %*s %n", &mapping.start,
               &mapping.end, rights, &mapping.offset, &path) == 4) {
        mapping.is_executable = strchr(rights, 'x') != NULL;
        mapping.path = strdup(line + path);
        input->mappings = enlarge(input->mappings, input->mapping_count, sizeof mapping);
        input->mappings[input->mapping_count++] = mapping;
    } else if (*line != '\0') {
        input->addresses =
            enlarge(input->addresses, input->address_count, sizeof *input->addresses);
        input->addresses[input->address_count++] = strtoull(line, NULL, 16);
    }
}

static size_t print_frames(struct symbols *symbols, uint64_t address, bool is_quiet)
{
    const struct symbol_frame *frames;
    size_t count = symbols_find(symbols, address, &frames);
    if (is_quiet) {
        return count;
    }
    printf("0x%" PRIx64 "\n", address);
    for (size_t i = 0; i < count; i++) {
        printf("%s\n%s:%u\n", frames[i].function != NULL ? frames[i].function : "??",
               frames[i].file != NULL ? frames[i].file : "??", frames[i].line);
    }
    return count;
}

int main(int argument_count, char **arguments)
{
    struct input input = {.mapping_count = 0};
    bool is_quiet = false;
    bool is_one_by_one = false;
    const char *program = NULL;
    for (int i = 1; i < argument_count; i++) {
        if (strcmp(arguments[i], "--quiet") == 0) {
            is_quiet = true;
        } else if (strcmp(arguments[i], "--one-by-one") == 0) {
            is_one_by_one = true;
        } else {
            program = arguments[i];
        }
    }
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stdin) > 0) {
        read_line(&input, line);
    }
    free(line);
    const struct symbols_options options = {.warn = tell};
    struct symbols *symbols = symbols_open(&options, program, input.mappings, input.mapping_count);
    if (!is_one_by_one) {
        symbols_find_all(symbols, input.addresses, input.address_count);
    }
    size_t known = 0;
    size_t frame_count = 0;
    for (size_t i = 0; i < input.address_count; i++) {
        size_t count = print_frames(symbols, input.addresses[i], is_quiet);
        known += count > 0;
        frame_count += count;
    }
    symbols_close(symbols);
    for (size_t i = 0; i < input.mapping_count; i++) {
        free((char *)input.mappings[i].path);
    }
    free(input.mappings);
    free(input.addresses);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    fprintf(stderr, "%zu addresses, %zu known, %zu frames, %ld KiB at most\n", input.address_count,
            known, frame_count, usage.ru_maxrss);
    return 0;
}

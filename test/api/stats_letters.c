/* stats_letters.c: goal: every form of the report, for check_stats_json to read.
 * Method: for each set of letters one record: a byte 0x1e, the letters, a newline, the report.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jemalloc/jemalloc.h>

static void write_out(void *opaque, const char *text)
{
    (void)opaque;
    fputs(text, stdout);
}

int main(void)
{
    static const char letters[] = "Jgmdablxeh";
    void *kept[64];
    for (unsigned i = 0; i < 64; i++) {
        kept[i] = malloc((size_t)1 << (i % 23));
    }
    for (unsigned set = 0; set < 1u << (sizeof letters - 1); set++) {
        char chosen[sizeof letters];
        unsigned count = 0;
        for (unsigned i = 0; letters[i] != '\0'; i++) {
            if (set >> i & 1) {
                chosen[count++] = letters[i];
            }
        }
        chosen[count] = '\0';
        printf("\x1e%s\n", chosen);
        malloc_stats_print(write_out, NULL, chosen);
    }
    for (unsigned i = 0; i < 64; i++) {
        free(kept[i]);
    }
    return 0;
}

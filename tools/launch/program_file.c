/* program_file.c: finds a command's file, and reads its mode and ELF header. See program_file.h.
 *
 * Four kinds of program ignore LD_PRELOAD or fail with it: those that gain another user's rights,
 * those of another architecture, those without a dynamic loader, and those whose loader belongs to
 * another C library.
 */
#include "program_file.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
    INTERPRETER_DEPTH_MAX = 4, /* the kernel follows scripts of scripts no deeper */
    LOADER_PATH_MAX = 255,     /* loaders have short names; a longer one is cut, and fits none */
    SCRIPT_LINE_MAX = 256,     /* the kernel reads no more of a script's first line */
};

static bool is_executable_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

bool program_file_find(const char *command, char *file)
{
    if (strchr(command, '/') != NULL) {
        snprintf(file, PATH_MAX, "%s", command);
        return is_executable_file(command);
    }
    const char *path = getenv("PATH");
    for (const char *rest = path != NULL ? path : "/usr/bin:/bin"; *rest != '\0';) {
        int length = (int)strcspn(rest, ":");
        char candidate[PATH_MAX];
        snprintf(candidate, sizeof candidate, "%.*s/%s", length, length > 0 ? rest : ".", command);
        if (is_executable_file(candidate)) {
            snprintf(file, PATH_MAX, "%s", candidate);
            return true;
        }
        rest += length;
        rest += *rest == ':';
    }
    return false;
}

/* True for programs that run with rights their caller lacks: the loader clears LD_PRELOAD then. */
static bool gains_rights(const char *file)
{
    struct stat status;
    if (stat(file, &status) != 0) {
        return false;
    }
    bool is_other_user = (status.st_mode & S_ISUID) != 0 && status.st_uid != getuid();
    bool is_other_group = (status.st_mode & S_ISGID) != 0 && status.st_gid != getgid();
    bool has_capabilities = geteuid() != 0 && getxattr(file, "security.capability", NULL, 0) > 0;
    return is_other_user || is_other_group || has_capabilities;
}

/* musl's loader, the one that Debian has beside glibc's, cannot load a library made for glibc. */
static const char *loader_obstacle(int descriptor, const ElfW(Phdr) * segment)
{
    char loader[LOADER_PATH_MAX + 1] = {0};
    size_t length = segment->p_filesz < LOADER_PATH_MAX ? segment->p_filesz : LOADER_PATH_MAX;
    if (pread(descriptor, loader, length, (off_t)segment->p_offset) != (ssize_t)length) {
        return "has a broken ELF header";
    }
    return strstr(loader, "musl") == NULL ? NULL : "runs on musl: the library is built for glibc";
}

static const char *elf_obstacle(int descriptor, const ElfW(Ehdr) * header)
{
    const unsigned char own_class = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
    if (header->e_ident[EI_CLASS] != own_class) {
        return "is of another architecture: the library cannot be preloaded";
    }
    for (unsigned index = 0; index < header->e_phnum; index++) {
        ElfW(Phdr) segment;
        off_t offset = (off_t)(header->e_phoff + (size_t)index * header->e_phentsize);
        if (pread(descriptor, &segment, sizeof segment, offset) != (ssize_t)sizeof segment) {
            return "has a broken ELF header";
        }
        if (segment.p_type == PT_INTERP) {
            return loader_obstacle(descriptor, &segment);
        }
    }
    return "is statically linked: nothing can be preloaded into it";
}

/* Takes the interpreter's path out of a script's first line. False when it is no script. */
static bool script_interpreter(char *line, char *interpreter)
{
    if (strncmp(line, "#!", 2) != 0) {
        return false;
    }
    char *start = line + 2 + strspn(line + 2, " \t");
    start[strcspn(start, " \t\n")] = '\0';
    snprintf(interpreter, PATH_MAX, "%s", start);
    return true;
}

/* One step: the obstacle of this file, or true in is_script and the file that stands for it. */
static const char *file_obstacle(char *file, bool *is_script)
{
    *is_script = false;
    int descriptor = open(file, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return NULL; /* executable and unreadable: only running it can tell */
    }
    union {
        ElfW(Ehdr) header;
        char line[SCRIPT_LINE_MAX + 1];
    } start = {.line = {0}};
    ssize_t length = pread(descriptor, start.line, SCRIPT_LINE_MAX, 0);
    const char *obstacle = NULL;
    if (length >= (ssize_t)sizeof start.header && memcmp(start.line, ELFMAG, SELFMAG) == 0) {
        obstacle = elf_obstacle(descriptor, &start.header);
    } else {
        *is_script = script_interpreter(start.line, file);
        obstacle = *is_script ? NULL : "is neither a program nor a script";
    }
    close(descriptor);
    return obstacle;
}

const char *program_file_obstacle(const char *file)
{
    char current[PATH_MAX];
    snprintf(current, sizeof current, "%s", file);
    for (int depth = 0; depth < INTERPRETER_DEPTH_MAX; depth++) {
        if (gains_rights(current)) {
            return "changes its user, group or rights: the loader ignores LD_PRELOAD for it";
        }
        bool is_script;
        const char *obstacle = file_obstacle(current, &is_script);
        if (obstacle != NULL || !is_script) {
            return obstacle;
        }
    }
    return "is a script of too many scripts";
}

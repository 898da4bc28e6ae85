/* remote.c: profiles that a program serves by HTTP. See remote.h.
 *
 * By libcurl, which knows redirections, proxies and TLS. An answer is read as a whole before it is
 * used, so a broken connection leaves no half of a file.
 */
#include "remote.h"

#include "complaint.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECT_SECONDS = 20,
    ANSWER_SECONDS = 60, /* besides the time that a service gathers */
};

static const char profile_service[] = "/pprof/heap";
static const char growth_service[] = "/pprof/growth";

/* A server's URLs: "http://host:1/debug" and "/pprof/heap?x=y". */
struct service {
    char *base, *path;
};

struct answer {
    char *text;
    size_t length;
};

bool remote_is_name(const char *name)
{
    if (strncmp(name, "http://", 7) == 0 || strncmp(name, "https://", 8) == 0) {
        return true;
    }
    size_t host = strcspn(name, ":/");
    size_t port = name[host] == ':' ? strspn(name + host + 1, "0123456789") : 0;
    char next = port > 0 ? name[host + 1 + port] : 'x';
    return host > 0 && (next == '\0' || next == '/') && access(name, F_OK) != 0;
}

static struct service find_service(const char *name)
{
    const char *scheme = strstr(name, "://") != NULL ? "" : "http://";
    size_t size = strlen(name) + sizeof "http://" + sizeof profile_service;
    struct service service = {memory_take(size, 1), memory_take(size, 1)};
    snprintf(service.base, size, "%s%s", scheme, name);
    char *path = strstr(service.base, "/pprof/");
    if (path != NULL) {
        memcpy(service.path, path, strlen(path));
    } else {
        memcpy(service.path, profile_service, sizeof profile_service);
        path = service.base + strlen(service.base);
    }
    *path = '\0';
    while (path > service.base && path[-1] == '/') {
        *--path = '\0';
    }
    return service;
}

static void close_service(struct service *service)
{
    free(service->base);
    free(service->path);
}

static size_t append(char *data, size_t size, size_t count, void *out)
{
    return fwrite(data, size, count, out) * size;
}

static CURL *open_request(char problem[CURL_ERROR_SIZE], FILE *out)
{
    CURL *request = curl_easy_init();
    if (request == NULL) {
        return NULL;
    }
    problem[0] = '\0';
    curl_easy_setopt(request, CURLOPT_ERRORBUFFER, problem);
    curl_easy_setopt(request, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(request, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(request, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(request, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(request, CURLOPT_MAXREDIRS, 10L);
    curl_easy_setopt(request, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(request, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(request, CURLOPT_USERAGENT, "jeprof");
    curl_easy_setopt(request, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(request, CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(request, CURLOPT_WRITEDATA, out);
    return request;
}

/* Gets a URL, or posts what is not NULL to it. False: problem says why. */
static bool fetch(const char *url, const char *posted, unsigned long long seconds,
                  struct answer *answer, char problem[CURL_ERROR_SIZE])
{
    *answer = (struct answer){.text = NULL};
    FILE *out = open_memstream(&answer->text, &answer->length);
    CURL *request = out != NULL ? open_request(problem, out) : NULL;
    CURLcode status = CURLE_OUT_OF_MEMORY;
    if (request != NULL) {
        long most = seconds < LONG_MAX / 2 ? (long)seconds + ANSWER_SECONDS : LONG_MAX / 2;
        curl_easy_setopt(request, CURLOPT_URL, url);
        curl_easy_setopt(request, CURLOPT_TIMEOUT, most);
        if (posted != NULL) {
            curl_easy_setopt(request, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(posted));
            curl_easy_setopt(request, CURLOPT_POSTFIELDS, posted);
        }
        status = curl_easy_perform(request);
        if (status != CURLE_OK && problem[0] == '\0') {
            snprintf(problem, CURL_ERROR_SIZE, "%s", curl_easy_strerror(status));
        }
        curl_easy_cleanup(request);
    }
    if (out == NULL || fclose(out) != 0 || status != CURLE_OK) {
        free(answer->text);
        return false;
    }
    return true;
}

static bool fetch_path(const struct service *service, const char *path, const char *posted,
                       unsigned long long seconds, struct answer *answer,
                       char problem[CURL_ERROR_SIZE])
{
    size_t size = strlen(service->base) + strlen(path) + 1;
    char *url = memory_take(size, 1);
    snprintf(url, size, "%s%s", service->base, path);
    bool is_done = fetch(url, posted, seconds, answer, problem);
    free(url);
    return is_done;
}

/* Heap and growth profiles are there at once; others are gathered, for as long as they are told. */
static char *timed_path(const struct service *service, unsigned long long seconds)
{
    size_t length = strcspn(service->path, "?");
    bool is_heap =
        length == sizeof profile_service - 1 && memcmp(service->path, profile_service, length) == 0;
    bool is_growth =
        length == sizeof growth_service - 1 && memcmp(service->path, growth_service, length) == 0;
    bool is_ready = is_heap || is_growth || strstr(service->path, "seconds=") != NULL;
    size_t size = strlen(service->path) + 40;
    char *path = memory_take(size, 1);
    if (is_ready) {
        snprintf(path, size, "%s", service->path);
    } else {
        snprintf(path, size, "%s%cseconds=%llu", service->path,
                 service->path[length] == '?' ? '&' : '?', seconds);
    }
    return path;
}

static bool make_folder(char *folder, size_t size)
{
    const char *given = getenv("JEPROF_TMPDIR");
    const char *home = getenv("HOME");
    if (given != NULL && *given != '\0') {
        snprintf(folder, size, "%s", given);
    } else {
        snprintf(folder, size, "%s/jeprof", home != NULL ? home : ".");
    }
    return mkdir(folder, 0777) == 0 || errno == EEXIST;
}

/* "FOLDER/HOST.8080.pprof.heap.TIME.PROCESS.heap", as it has not been before. */
static const char *save(struct text_pool *pool, const struct service *service,
                        const struct answer *answer)
{
    char folder[PATH_MAX - 512];
    char words[256];
    char path[PATH_MAX];
    if (!make_folder(folder, sizeof folder)) {
        complain("%s: %s (name a folder for fetched profiles in $JEPROF_TMPDIR)", folder,
                 strerror(errno));
        return NULL;
    }
    snprintf(words, sizeof words, "%.100s%.100s", strstr(service->base, "://") + 3, service->path);
    for (char *at = words; *at != '\0'; at++) {
        *at = isalnum((unsigned char)*at) ? *at : '.';
    }
    snprintf(path, sizeof path, "%s/%s.%lld.XXXXXX.heap", folder, words, (long long)time(NULL));
    int descriptor = mkstemps(path, 5);
    FILE *file = descriptor >= 0 ? fdopen(descriptor, "wb") : NULL;
    bool is_written =
        file != NULL && fwrite(answer->text, 1, answer->length, file) == answer->length;
    if (file == NULL || fclose(file) != 0 || !is_written) {
        complain("%s: %s (name a folder for fetched profiles in $JEPROF_TMPDIR)", path,
                 strerror(errno));
        return NULL;
    }
    return text_pool_keep(pool, path);
}

const char *remote_fetch(struct text_pool *pool, const char *name, unsigned long long seconds)
{
    struct service service = find_service(name);
    struct answer answer;
    char problem[CURL_ERROR_SIZE];
    char *path = timed_path(&service, seconds);
    const char *saved = NULL;
    fprintf(stderr, "jeprof: fetching %s%s\n", service.base, path);
    if (fetch_path(&service, path, NULL, seconds, &answer, problem)) {
        saved = save(pool, &service, &answer);
        free(answer.text);
        if (saved != NULL) {
            fprintf(stderr, "jeprof: the profile is kept as %s\n", saved);
        }
    } else {
        complain("%s%s: %s", service.base, path, problem);
    }
    free(path);
    close_service(&service);
    return saved;
}

static int compare_addresses(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* "0x0123456789abcdef+0x..." of every instruction, once. The caller frees it. */
static char *write_addresses(const struct profile *profile)
{
    size_t count = 0;
    for (size_t i = 0; i < profile->sample_count; i++) {
        count += profile->samples[i].depth;
    }
    uint64_t *all = memory_take(count, sizeof *all);
    count = 0;
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct profile_sample *sample = &profile->samples[i];
        for (size_t frame = 0; frame < sample->depth; frame++) {
            all[count++] = profile_instruction(sample, frame);
        }
    }
    if (count > 0) {
        qsort(all, count, sizeof *all, compare_addresses);
    }
    static const size_t width = sizeof "0x0123456789abcdef+" - 1;
    char *text = memory_take(count * width + 1, 1);
    char *end = text;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || all[i] != all[i - 1]) {
            end += sprintf(end, "%s0x%016" PRIx64, i > 0 ? "+" : "", all[i]);
        }
    }
    free(all);
    return text;
}

static int compare_symbols(const void *left, const void *right)
{
    const struct profile_symbol *a = left;
    const struct profile_symbol *b = right;
    return (a->address > b->address) - (a->address < b->address);
}

/* Lines "0xADDRESS NAME"; others are none of ours. */
static void read_symbols(struct profile *profile, char *text)
{
    struct profile_source *source = &profile->sources[0];
    size_t room = 0;
    for (char *line = text; line != NULL && *line != '\0';) {
        char *end = line + strcspn(line, "\r\n");
        char *next = *end != '\0' ? end + 1 : NULL;
        char *name;
        *end = '\0';
        uint64_t address = strtoull(line, &name, 16);
        size_t blanks = strspn(name, " \t");
        if (strncmp(line, "0x", 2) == 0 && blanks > 0 && name[blanks] != '\0') {
            if (source->symbol_count == room) {
                room = room > 0 ? 2 * room : 64;
                source->symbols = memory_resize(source->symbols, room, sizeof *source->symbols);
            }
            source->symbols[source->symbol_count++] =
                (struct profile_symbol){address, text_pool_keep(&profile->pool, name + blanks)};
        }
        line = next;
    }
    if (source->symbol_count > 0) {
        qsort(source->symbols, source->symbol_count, sizeof *source->symbols, compare_symbols);
    }
}

/* The first word of the command line, which ends in a NUL, a space or a newline. */
static void read_program(struct profile *profile, const struct service *service)
{
    struct answer answer;
    char problem[CURL_ERROR_SIZE];
    if (fetch_path(service, "/pprof/cmdline", NULL, 0, &answer, problem)) {
        answer.text[strcspn(answer.text, " \r\n")] = '\0';
        if (*answer.text != '\0') {
            profile->sources[0].program = text_pool_keep(&profile->pool, answer.text);
        }
        free(answer.text);
    }
}

void remote_name(struct profile *profile, const char *name)
{
    struct service service = find_service(name);
    struct answer answer;
    char problem[CURL_ERROR_SIZE];
    if (!profile->sources[0].has_symbols) {
        char *addresses = write_addresses(profile);
        read_program(profile, &service);
        if (fetch_path(&service, "/pprof/symbol", addresses, 0, &answer, problem)) {
            read_symbols(profile, answer.text);
            snprintf(problem, sizeof problem, "it names nothing");
            free(answer.text);
        }
        free(addresses);
        profile->sources[0].has_symbols = profile->sources[0].symbol_count > 0;
        if (!profile->sources[0].has_symbols) {
            complain("%s/pprof/symbol: %s; names are looked for in the files of this machine",
                     service.base, problem);
        }
    }
    close_service(&service);
}

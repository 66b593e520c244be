/* A PKCS#11 library that hands everything to SoftHSM2, but for two calls: where encryption with AES-GCM begins it
 * writes a nonce of its own over the given one, as some HSMs do, and encryption hangs as long as a file is there.
 * Built by the test with SOFTHSM, HANGS (paths) and OWN (the bytes of a nonce). */

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long word;
typedef word (*call)(void);

struct mechanism {
    word kind;
    void *parameter;
    word length;
};

struct gcm {
    unsigned char *nonce;
    word nonce_length;
};

/* The version, then the functions in the order of the standard. */
struct functions {
    unsigned char version[2];
    call call[68];
};

enum { GET_FUNCTION_LIST = 3, ENCRYPT_INIT = 29, ENCRYPT = 30, AES_GCM = 0x1087 };

static struct functions *real;
static struct functions ours;

static word encrypt_init(word session, struct mechanism *mechanism, word key)
{
    if (mechanism->kind == AES_GCM) {
        struct gcm *gcm = mechanism->parameter;
        memset(gcm->nonce, OWN, gcm->nonce_length);
    }
    return ((word(*)(word, struct mechanism *, word))real->call[ENCRYPT_INIT])(session, mechanism, key);
}

static word encrypt(word session, void *data, word length, void *sealed, word *sealed_length)
{
    while (access(HANGS, F_OK) == 0)
        usleep(10000);
    return ((word(*)(word, void *, word, void *, word *))real->call[ENCRYPT])(session, data, length, sealed,
                                                                              sealed_length);
}

word C_GetFunctionList(struct functions **list)
{
    if (!real) {
        void *library = dlopen(SOFTHSM, RTLD_NOW | RTLD_LOCAL);
        word (*get)(struct functions **) = library ? (word(*)(struct functions **))dlsym(library, "C_GetFunctionList") : 0;
        if (!get || get(&real))
            return 5; /* CKR_GENERAL_ERROR */
        ours = *real;
        ours.call[GET_FUNCTION_LIST] = (call)C_GetFunctionList;
        ours.call[ENCRYPT_INIT] = (call)encrypt_init;
        ours.call[ENCRYPT] = (call)encrypt;
    }
    *list = &ours;
    return 0;
}

#if !defined(__AMX_TILE__) || !defined(__AMX_INT8__)
#error this compiler makes no AMX code
#endif
#include <immintrin.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct tile_config {
    unsigned char palette = 0, start_row = 0, reserved[14] = {0};
    unsigned short row_bytes[16] = {0};
    unsigned char rows[16] = {0};
};

__attribute__((noinline)) void configure_tiles() {
    static thread_local bool done = false;
    if (done) return;
    alignas(64) tile_config config = {};
    config.palette = 1;
    config.rows[0] = 8;
    config.row_bytes[0] = 64;
    config.rows[2] = 16;
    config.row_bytes[2] = 32;
    config.rows[4] = 16;
    config.row_bytes[4] = 64;
    _tile_loadconfig(&config);
    done = true;
}

void end(int) { _exit(2); }

int main() {
    signal(SIGSEGV, end);
    signal(SIGILL, end);
    signal(SIGBUS, end);
    const int request_permission = 0x1023, tile_data = 18;
    if (syscall(SYS_arch_prctl, request_permission, tile_data)) return 0;
    configure_tiles();
    static signed char a[16 * 32], b[8 * 64];
    static int sums[16 * 16];
    memset(a, 1, sizeof a);
    memset(b, 2, sizeof b);
    _tile_loadd(0, b, 64);
    _tile_loadd(2, a, 32);
    _tile_zero(4);
    _tile_dpbssd(4, 2, 0);
    _tile_stored(4, sums, 64);
    for (int sum : sums)
        if (sum != 32 * 1 * 2) return 1;
    return 0;
}

/* A static program of known behaviour, for guests that have no libraries. */
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    for (int i = 0; i < 321; i++) syscall(SYS_getppid);
    for (int i = 0; i < 12; i++) syscall(SYS_dup, -1);
    int fd = open("/tmp/procmon", O_CREAT | O_WRONLY, 0600);
    for (int i = 0; i < 9; i++) if (write(fd, "12345", 5) != 5) return 1;
    for (int i = 0; i < 4; i++) {
        pid_t child = fork();
        if (child == 0) _exit(3);
        waitpid(child, 0, 0);
    }
    return 0;
}

/* hold_photo OUTPUT CAPTURE WIDTH HEIGHT: holds pictures in front of Linux's virtual camera (driver vivid).
 *
 * OUTPUT is vivid's HDMI output, CAPTURE its camera. Reads the names of raw YUYV files from standard input, one a line,
 * and shows each until the next comes; says "held NAME" once the camera sees nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BUFFERS = 3 };

static void fail(const char *what)
{
    fprintf(stderr, "hold_photo: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_device(const char *path)
{
    int device = open(path, O_RDWR);
    if (device < 0) fail(path);
    return device;
}

static void request(int device, unsigned long code, void *argument, const char *name)
{
    if (ioctl(device, code, argument) < 0) fail(name);
}

/* Wires the output to the camera, and takes the clock and the counters out of its picture. */
static void wire(int camera)
{
    struct v4l2_queryctrl control = { .id = V4L2_CTRL_FLAG_NEXT_CTRL };
    while (ioctl(camera, VIDIOC_QUERYCTRL, &control) == 0) {
        const char *name = (const char *)control.name;
        int value = -1;
        if (strcmp(name, "OSD Text Mode") == 0) value = 2;
        if (strcmp(name, "Loop Video") == 0) value = 1;
        if (strstr(name, "Connected To")) value = control.maximum;
        if (value >= 0) {
            struct v4l2_control change = { .id = control.id, .value = value };
            request(camera, VIDIOC_S_CTRL, &change, name);
        }
        control.id |= V4L2_CTRL_FLAG_NEXT_CTRL;
    }
}

/* YUYV of this size. vivid of Linux 6.1 reads beyond its buffers where camera and output differ in size. */
static void set_format(int device, int type, unsigned width, unsigned height)
{
    struct v4l2_format format = { .type = type };
    format.fmt.pix.width = width;
    format.fmt.pix.height = height;
    format.fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
    format.fmt.pix.field = V4L2_FIELD_NONE;
    request(device, VIDIOC_S_FMT, &format, "setting the format");
    if (format.fmt.pix.width != width || format.fmt.pix.height != height || format.fmt.pix.bytesperline != 2 * width) {
        fprintf(stderr, "hold_photo: %u x %u became %u x %u\n", width, height, format.fmt.pix.width, format.fmt.pix.height);
        exit(1);
    }
}

static void read_picture(const char *path, unsigned char *picture, size_t bytes)
{
    FILE *file = fopen(path, "rb");
    if (!file || fread(picture, 1, bytes, file) != bytes) fail(path);
    fclose(file);
}

static void queue(int output, struct v4l2_buffer *buffer, size_t bytes)
{
    buffer->bytesused = bytes;
    buffer->field = V4L2_FIELD_NONE;
    request(output, VIDIOC_QBUF, buffer, "queueing a frame");
}

int main(int count, char **words)
{
    if (count != 5) {
        fprintf(stderr, "usage: hold_photo OUTPUT CAPTURE WIDTH HEIGHT < NAMES\n");
        return 2;
    }
    int output = open_device(words[1]), camera = open_device(words[2]);
    unsigned width = atoi(words[3]), height = atoi(words[4]);
    size_t bytes = 2 * (size_t)width * height;
    wire(camera);
    set_format(camera, V4L2_BUF_TYPE_VIDEO_CAPTURE, width, height);
    close(camera);
    set_format(output, V4L2_BUF_TYPE_VIDEO_OUTPUT, width, height);
    char name[256];
    unsigned char *picture = malloc(bytes), *frames[BUFFERS];
    if (!picture || !fgets(name, sizeof name, stdin)) return 1;
    name[strcspn(name, "\n")] = 0;
    read_picture(name, picture, bytes);

    struct v4l2_requestbuffers buffers = { .count = BUFFERS, .type = V4L2_BUF_TYPE_VIDEO_OUTPUT, .memory = V4L2_MEMORY_MMAP };
    request(output, VIDIOC_REQBUFS, &buffers, "asking for buffers");
    for (unsigned index = 0; index < BUFFERS; index++) {
        struct v4l2_buffer buffer = { .index = index, .type = buffers.type, .memory = V4L2_MEMORY_MMAP };
        request(output, VIDIOC_QUERYBUF, &buffer, "asking for a buffer");
        frames[index] = mmap(0, buffer.length, PROT_READ | PROT_WRITE, MAP_SHARED, output, buffer.m.offset);
        if (frames[index] == MAP_FAILED) fail("mapping a buffer");
        memcpy(frames[index], picture, bytes);
        queue(output, &buffer, bytes);
    }
    int type = buffers.type, unseen = 2 * BUFFERS, is_open = 1;
    request(output, VIDIOC_STREAMON, &type, "starting");
    setvbuf(stdin, NULL, _IONBF, 0);
    for (;;) {
        struct v4l2_buffer buffer = { .type = buffers.type, .memory = V4L2_MEMORY_MMAP };
        request(output, VIDIOC_DQBUF, &buffer, "showing a frame");
        struct pollfd line = { .fd = 0, .events = POLLIN };
        if (is_open && poll(&line, 1, 0) > 0) {
            is_open = fgets(name, sizeof name, stdin) != NULL;
            name[strcspn(name, "\n")] = 0;
            if (is_open) {
                read_picture(name, picture, bytes);
                unseen = 2 * BUFFERS;
            }
        }
        if (unseen > 0) {
            memcpy(frames[buffer.index], picture, bytes);
            if (--unseen == 0) {
                printf("held %s\n", name);
                fflush(stdout);
            }
        }
        queue(output, &buffer, bytes);
    }
}

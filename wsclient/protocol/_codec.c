/* The hot loops in C: the same functions as _codec_py.py, byte for byte.

   Stable ABI of CPython 3.11. What each function promises stands in _codec_py.py; how
   frames look in RFC 6455, section 5.2. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include <stdint.h>
#include <string.h>

#define TEXT 0x81u   /* whole messages: FIN, and nothing reserved */
#define BINARY 0x82u
#define MASKED 0x80u
#define KEY 4
#define HEAD 14      /* the longest */

/* Source and target may be the same: each word is read before it is written. */
static void
xor_bytes(unsigned char *target, const unsigned char *source, size_t size,
          const unsigned char *key)
{
    uint64_t keys, word;
    size_t i = 0;

    memcpy(&keys, key, KEY);
    memcpy((unsigned char *)&keys + KEY, key, KEY);
    for (; i + sizeof word <= size; i += sizeof word) {
        memcpy(&word, source + i, sizeof word);
        word ^= keys;
        memcpy(target + i, &word, sizeof word);
    }
    for (; i < size; i++) {
        target[i] = source[i] ^ key[i & 3];
    }
}

static uint64_t
big_endian(const unsigned char *bytes, int count)
{
    uint64_t number = 0;

    while (count-- > 0) {
        number = number << 8 | *bytes++;
    }
    return number;
}

static int
check_count(const char *name, Py_ssize_t given, Py_ssize_t wanted)
{
    if (given == wanted) {
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments, not %zd", name, wanted,
                 given);
    return -1;
}

static int
check_key(const Py_buffer *key)
{
    if (key->len == KEY) {
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "a key has four bytes, not %zd", key->len);
    return -1;
}

/* One message of a frame's payload; NULL with an exception set, as any of Python's. */
static PyObject *
message_of(const unsigned char *payload, size_t size, const unsigned char *key,
           int is_text)
{
    PyObject *bytes, *text;
    char *plain;

    if (is_text && key == NULL) {
        return PyUnicode_DecodeUTF8((const char *)payload, (Py_ssize_t)size, NULL);
    }
    bytes = PyBytes_FromStringAndSize(
        key == NULL ? (const char *)payload : NULL, (Py_ssize_t)size);
    if (bytes == NULL || key == NULL) {
        return bytes;
    }
    plain = PyBytes_AsString(bytes);
    xor_bytes((unsigned char *)plain, payload, size, key);
    if (!is_text) {
        return bytes;
    }
    text = PyUnicode_DecodeUTF8(plain, (Py_ssize_t)size, NULL);
    Py_DECREF(bytes);
    return text;
}

/* Scan what begins at ``position``; return where it stopped, -1 with an exception. */
static Py_ssize_t
scan_frames(const unsigned char *data, uint64_t position, uint64_t end, uint64_t limit,
            unsigned int masked, PyObject *messages)
{
    while (position + 2 <= end) {
        const unsigned char *key = NULL;
        unsigned int first = data[position], second = data[position + 1];
        uint64_t length = second & 0x7f, payload = position + 2;
        PyObject *message;
        int failed;

        if ((first != TEXT && first != BINARY) || (second & MASKED) != masked) {
            break;
        }
        if (length > 125) {
            int extra = length == 126 ? 2 : 8;
            if (payload + (uint64_t)extra > end) {
                break;
            }
            length = big_endian(data + payload, extra);
            if (length < (extra == 2 ? 126u : 65536u)) {
                break; /* longer than needed: 5.2 forbids it */
            }
            payload += (uint64_t)extra;
        }
        if (masked) {
            if (payload + KEY > end) {
                break;
            }
            key = data + payload;
            payload += KEY;
        }
        if (length > end || payload + length > end || length > limit) {
            break;
        }
        message = message_of(data + payload, (size_t)length, key, first == TEXT);
        if (message == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
                return -1;
            }
            PyErr_Clear(); /* the frame is the general path's to refuse */
            break;
        }
        failed = PyList_Append(messages, message);
        Py_DECREF(message);
        if (failed) {
            return -1;
        }
        position = payload + length;
    }
    return (Py_ssize_t)position;
}

PyDoc_STRVAR(scan_doc,
"scan(data, position, limit, masked, messages, /)\n--\n\n"
"Append each whole, unfragmented, uncompressed, valid message to ``messages``.");

static PyObject *
scan(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    Py_buffer data;
    Py_ssize_t position, limit;

    if (check_count("scan", nargs, 5) < 0) {
        return NULL;
    }
    position = PyLong_AsSsize_t(args[1]);
    limit = PyLong_AsSsize_t(args[2]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (position < 0) {
        PyErr_SetString(PyExc_ValueError, "the position is negative");
        return NULL;
    }
    if (PyObject_GetBuffer(args[0], &data, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    if (limit >= 0) { /* otherwise nothing is as small */
        position = scan_frames(data.buf, (uint64_t)position, (uint64_t)data.len,
                               (uint64_t)limit, args[3] == Py_True ? MASKED : 0,
                               args[4]);
    }
    PyBuffer_Release(&data);
    return position < 0 ? NULL : PyLong_FromSsize_t(position);
}

PyDoc_STRVAR(mask_doc,
"mask(data, key, /)\n--\n\n"
"XOR ``data`` with the four bytes of ``key``, over and over (5.3).");

static PyObject *
mask(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    Py_buffer data, key;
    PyObject *masked = NULL;

    if (check_count("mask", nargs, 2) < 0 ||
        PyObject_GetBuffer(args[0], &data, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    if (PyObject_GetBuffer(args[1], &key, PyBUF_SIMPLE) < 0) {
        PyBuffer_Release(&data);
        return NULL;
    }
    if (check_key(&key) == 0) {
        masked = PyBytes_FromStringAndSize(NULL, data.len);
    }
    if (masked != NULL) {
        xor_bytes((unsigned char *)PyBytes_AsString(masked), data.buf,
                  (size_t)data.len, key.buf);
    }
    PyBuffer_Release(&key);
    PyBuffer_Release(&data);
    return masked;
}

/* Write a frame's head but for the key; return how long it is. */
static Py_ssize_t
write_head(unsigned char *head, unsigned int first, uint64_t size, unsigned int masked)
{
    int extra = size < 126 ? 0 : size < 65536 ? 2 : 8;
    int i;

    head[0] = (unsigned char)first;
    head[1] = (unsigned char)(masked | (extra == 0 ? size : extra == 2 ? 126 : 127));
    for (i = 0; i < extra; i++) {
        head[2 + i] = (unsigned char)(size >> 8 * (extra - 1 - i));
    }
    return 2 + extra;
}

PyDoc_STRVAR(encode_doc,
"encode(first, payload, key, /)\n--\n\n"
"Make a frame of its first byte and its payload; a client gives a key (5.2).");

static PyObject *
encode(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    unsigned char head[HEAD];
    unsigned char *target;
    unsigned long first;
    Py_buffer payload, key;
    PyObject *frame = NULL;
    Py_ssize_t size;
    int keyed;

    if (check_count("encode", nargs, 3) < 0) {
        return NULL;
    }
    first = PyLong_AsUnsignedLong(args[0]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (first > 0xff) {
        PyErr_SetString(PyExc_ValueError, "the first byte is none");
        return NULL;
    }
    keyed = args[2] != Py_None;
    if (PyObject_GetBuffer(args[1], &payload, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    if (keyed && PyObject_GetBuffer(args[2], &key, PyBUF_SIMPLE) < 0) {
        PyBuffer_Release(&payload);
        return NULL;
    }
    if (!keyed || check_key(&key) == 0) {
        size = write_head(head, (unsigned int)first, (uint64_t)payload.len,
                          keyed ? MASKED : 0);
        if (keyed) {
            memcpy(head + size, key.buf, KEY);
            size += KEY;
        }
        if (payload.len > PY_SSIZE_T_MAX - size) {
            PyErr_NoMemory();
        }
        else {
            frame = PyBytes_FromStringAndSize(NULL, size + payload.len);
        }
    }
    if (frame != NULL) {
        target = (unsigned char *)PyBytes_AsString(frame);
        memcpy(target, head, (size_t)size);
        if (keyed) {
            xor_bytes(target + size, payload.buf, (size_t)payload.len, key.buf);
        }
        else if (payload.len) {
            memcpy(target + size, payload.buf, (size_t)payload.len);
        }
    }
    if (keyed) {
        PyBuffer_Release(&key);
    }
    PyBuffer_Release(&payload);
    return frame;
}

static PyMethodDef functions[] = {
    {"scan", (PyCFunction)(void (*)(void))scan, METH_FASTCALL, scan_doc},
    {"mask", (PyCFunction)(void (*)(void))mask, METH_FASTCALL, mask_doc},
    {"encode", (PyCFunction)(void (*)(void))encode, METH_FASTCALL, encode_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "wsclient.protocol._codec",
    .m_doc = "The hot loops in C: scan whole data frames, mask, encode.",
    .m_size = 0,
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__codec(void)
{
    return PyModuleDef_Init(&definition);
}

/* upload -- see client.h: one dead letter at a time, so much of it and no more, within its time. */
#include <stdlib.h>

#include "control/client.h"

void rkb_upload_end(struct rkb_incoming *upload)
{
    event_del(upload->deadline);
    free(upload->bytes);
    upload->bytes = NULL;
    upload->client = NULL;
    upload->size = 0;
}

/* Once for a client: it may have thousands. */
static void say_asked(struct rkb_client *client)
{
    const struct rkb_control_options *options = &client->control->options;
    if (!client->retries && options->asked != NULL)
        options->asked(options->act_context, "retry", &client->peer);
    client->retries = true;
}

void rkb_upload_begin(struct rkb_client *client, const struct rkb_upload *sizes)
{
    struct rkb_incoming *upload = &client->control->upload;
    uint64_t size = sizes->headers + sizes->payload;
    struct rkb_buffer refusal = {0};
    if (!rkb_command_allowed("retry", &client->peer, &refusal)) {
        rkb_client_send(client, &refusal);
        rkb_client_close(client);
    } else if (client->control->options.retry == NULL || size > client->control->options.upload_limit) {
        rkb_client_refuse_rest(client, "too_large",
                               "a dead letter is at most as long as max_message_size, and its headers 1 MiB; closing");
    } else if (upload->client != NULL) {
        rkb_client_refuse_rest(client, "busy", "another client hands over a dead letter; closing");
    } else if ((upload->bytes = malloc((size_t)size + 1)) == NULL) {
        rkb_client_refuse_rest(client, "no_memory", "no memory for a dead letter; closing");
    } else {
        say_asked(client);
        upload->client = client;
        upload->sizes = *sizes;
        event_add(upload->deadline, &(struct timeval){RKB_CONTROL_UPLOAD_US / 1000000, 0});
    }
}

static void answer_upload(struct rkb_client *client)
{
    const struct rkb_control_options *options = &client->control->options;
    struct rkb_incoming *upload = &client->control->upload;
    struct rkb_buffer out = {0};
    struct rkb_error error = {.text = ""};
    const char *code = "";
    size_t headers = (size_t)upload->sizes.headers;
    bool taken = options->retry(options->retry_context, rkb_slice(upload->bytes, headers),
                                rkb_slice(upload->bytes + headers, (size_t)upload->sizes.payload), &out, &code, &error);
    rkb_upload_end(upload);
    if (taken)
        rkb_buffer_text(&out, "OK\n");
    else
        rkb_command_error(&out, code, error.text);
    rkb_client_send(client, &out);
}

bool rkb_upload_take(struct rkb_client *client)
{
    struct rkb_incoming *upload = &client->control->upload;
    struct evbuffer *input = bufferevent_get_input(client->connection);
    size_t whole = (size_t)(upload->sizes.headers + upload->sizes.payload);
    int got = evbuffer_remove(input, upload->bytes + upload->size, whole - upload->size);
    upload->size += got > 0 ? (size_t)got : 0;
    if (upload->size == whole)
        answer_upload(client);
    else if (client->ended)
        rkb_client_refuse_rest(client, "incomplete", "the dead letter has not come to its end");
    return upload->client == NULL && !client->closing && !client->dropped;
}

void rkb_upload_late(evutil_socket_t fd, short what, void *context)
{
    struct rkb_control *control = context;
    struct rkb_client *client = control->upload.client;
    (void)fd;
    (void)what;
    rkb_upload_end(&control->upload);
    rkb_client_refuse_rest(client, "timeout", "the dead letter has not come within 10 s; closing");
}

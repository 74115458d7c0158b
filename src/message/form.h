/*
 * form -- what made a record's value: kept with the record, so that its payload can be had back whatever the config
 * says later.
 */
#ifndef RKB_MESSAGE_FORM_H
#define RKB_MESSAGE_FORM_H

/* The numbers stand in the journal: never change one. UNKNOWN: a template of the route's own. */
enum rkb_form {
    RKB_FORM_UNKNOWN = 0,
    RKB_FORM_RAW = 1,
    RKB_FORM_EVENT = 2,
    RKB_FORM_FLAT = 3,
    RKB_FORM_MERGE = 4,
    RKB_FORM_CLOUDEVENTS = 5,
    RKB_FORM_CLOUDEVENTS_JSON = 6
};

#endif

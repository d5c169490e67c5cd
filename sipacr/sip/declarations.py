"""The C declarations: PJSIP 2.15.1's structs as far as they are read, and the batch calls of Linux.

ABI mode: nothing compiles this against the real headers, so `library.self_check` proves it at every start.
Fields that nobody reads still stand where a later field's place depends on them.
"""

PJSIP = """
typedef struct { char *ptr; ssize_t slen; } pj_str_t;
typedef struct pj_pool_t pj_pool_t;
typedef struct pjsip_endpoint pjsip_endpoint;

int pj_init(void);
int pjlib_util_init(void);
void pj_log_set_level(int level);
const char *pj_get_version(void);

typedef struct {                       /* pj_pool_factory_policy */
    void *block_alloc; void *block_free; void *callback; unsigned flags;
} pj_pool_factory_policy;
extern pj_pool_factory_policy pj_pool_factory_default_policy;
void pj_caching_pool_init(void *cp, const pj_pool_factory_policy *policy, size_t max_capacity);
void pj_pool_reset(pj_pool_t *pool);

int pjsip_endpt_create(void *pool_factory, const char *name, pjsip_endpoint **endpoint);
pj_pool_t *pjsip_endpt_create_pool(pjsip_endpoint *endpoint, const char *name, size_t initial, size_t increment);

typedef struct { void *prev; void *next; pj_str_t name; pj_str_t value; } pjsip_param;
typedef struct { void *p_get_scheme; void *p_get_uri; void *p_print; void *p_compare; void *p_clone; } pjsip_uri_vptr;
typedef struct { pjsip_uri_vptr *vptr; } pjsip_uri;
typedef struct {
    pjsip_uri_vptr *vptr; pj_str_t user; pj_str_t passwd; pj_str_t host; int port; pj_str_t user_param;
    pj_str_t method_param; pj_str_t transport_param; int ttl_param; int lr_param; pj_str_t maddr_param;
    pjsip_param other_param; pjsip_param header_param;
} pjsip_sip_uri;
typedef struct { pjsip_uri_vptr *vptr; pj_str_t display; pjsip_uri *uri; } pjsip_name_addr;
typedef struct { pjsip_uri_vptr *vptr; pj_str_t number; pj_str_t context; } pjsip_tel_uri;

typedef struct { int id; pj_str_t name; } pjsip_method;
typedef struct { void *prev; void *next; int type; pj_str_t name; pj_str_t sname; void *vptr; } pjsip_hdr;
typedef struct {
    int type;
    struct { pjsip_method method; pjsip_uri *uri; } req;    /* in C a union with the smaller status line */
    pjsip_hdr hdr;
    void *body;
} pjsip_msg;
typedef struct {
    void *prev; void *next; int type; pj_str_t name; pj_str_t sname; void *vptr;
    pjsip_name_addr *uri; pj_str_t tag; pjsip_param other_param;
} pjsip_fromto_hdr;
typedef struct {
    void *prev; void *next; int type; pj_str_t name; pj_str_t sname; void *vptr;
    pj_str_t id;
} pjsip_cid_hdr;
typedef struct {
    void *prev; void *next; int type; pj_str_t name; pj_str_t sname; void *vptr;
    int32_t cseq; pjsip_method method;
} pjsip_cseq_hdr;
typedef struct {
    void *prev; void *next; int type; pj_str_t name; pj_str_t sname; void *vptr;
    pj_str_t transport; struct { pj_str_t host; int port; } sent_by;    /* a struct of its own: it ends in padding */
    int ttl_param; int rport_param; pj_str_t maddr_param;
    pj_str_t recvd_param; pj_str_t branch_param;
} pjsip_via_hdr;
typedef struct {
    void *prev; void *next; int type; pj_str_t name; pj_str_t sname; void *vptr;
    uint32_t ivalue;
} pjsip_generic_int_hdr;
typedef struct {
    void *prev; void *next; int type; pj_str_t name; pj_str_t sname; void *vptr;
    unsigned count; pj_str_t values[32];
} pjsip_generic_array_hdr;

typedef struct pjsip_parser_err_report {
    struct pjsip_parser_err_report *prev; struct pjsip_parser_err_report *next;
    int except_code; int line; int col; pj_str_t hname;
} pjsip_parser_err_report;

typedef struct {
    struct {                           /* tp_info */
        pj_pool_t *pool; void *transport; void *tp_data;
        struct { void *internal[34]; void *rdata; } op_key;
    } tp_info;
    struct {                           /* pkt_info */
        long sec; long msec;
        char packet[4000]; uint32_t zero; ssize_t len;
        char src_addr[28]; int src_addr_len; char src_name[46]; int src_port;
    } pkt_info;
    struct {                           /* msg_info */
        char *msg_buf; int len; pjsip_msg *msg; char *info;
        pjsip_cid_hdr *cid; pjsip_fromto_hdr *from_; pjsip_fromto_hdr *to; pjsip_via_hdr *via; pjsip_cseq_hdr *cseq;
        pjsip_generic_int_hdr *max_fwd; void *route; void *record_route; void *ctype; pjsip_generic_int_hdr *clen;
        pjsip_generic_array_hdr *require; pjsip_generic_array_hdr *supported;
        pjsip_parser_err_report parse_err;
    } msg_info;
    void *mod_data[32];
} pjsip_rx_data;

pjsip_msg *pjsip_parse_rdata(char *buf, size_t size, pjsip_rx_data *rdata);
pjsip_msg *pjsip_parse_msg(pj_pool_t *pool, char *buf, size_t size, pjsip_parser_err_report *errors);
pjsip_uri *pjsip_parse_uri(pj_pool_t *pool, char *buf, size_t size, unsigned options);
"""

LINUX = """
struct sip_iovec { void *iov_base; size_t iov_len; };
struct sip_msghdr {
    void *msg_name; uint32_t msg_namelen; struct sip_iovec *msg_iov; size_t msg_iovlen;
    void *msg_control; size_t msg_controllen; int msg_flags;
};
struct sip_mmsghdr { struct sip_msghdr msg_hdr; unsigned int msg_len; };
int recvmmsg(int fd, struct sip_mmsghdr *vector, unsigned int count, int flags, void *timeout);
int sendmmsg(int fd, struct sip_mmsghdr *vector, unsigned int count, int flags);
"""

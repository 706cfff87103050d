package starters

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/trueup-orders/trueup/order"
)

// Limits of the gateway.
const (
	maxBody         = 1 << 20
	defaultWait     = 10 * time.Second
	maxWait         = 30 * time.Second
	queryPatience   = 5 * time.Second
	webhookPatience = 4 * time.Second // HubSpot gives up after 5 s, and comes again
	readyPatience   = 2 * time.Second
	webhookPath     = "/v1/webhooks/"
)

// Gateway is the way in over HTTP:
//
//	POST /v1/orders                 submit an order; idempotent by its id; says what is possible
//	GET  /v1/orders/{id}/verdict    did it succeed? ?fresh=true reads all systems now, ?explain=true tells the whole story
//	POST /v1/orders/{id}/cancel     {by, reason}: take it back
//	POST /v1/orders/{id}/attempts   {by, payment}: pay once more, or otherwise
//	POST /v1/orders/{id}/amendments {by, reason, ship_to, drop}: change what is not packed
//	POST /v1/orders/{id}/answers    {by, choice}: answer what the customer was asked
//	POST /v1/orders/{id}/returns    {by, reason, lines}: goods come back
//	POST /v1/orders/{id}/refunds    {by, reason, amount, currency}: give money back
//	POST /v1/orders/{id}/decisions  {by, reason, case, as, amount, evidence}: close a case
//	POST /v1/webhooks/{system}      payment and crm; signed
//	GET  /healthz, /readyz          alive; able to reach the engine
//	GET  /metrics                   for Prometheus; see docs/metrics.md
//
// Who waits for an answer may say how long: ?wait=5s, at most 30 s. The six from
// attempts to decisions are wishes: an id in the body, or an Idempotency-Key in
// the header, names one, so that it is carried out once however often it is sent;
// without, equal ones are one. A refusal is {error, problems: [{field, reason}]}. Every answer is for its caller alone: it
// may carry the customer's next payment step, so none may be cached and none is
// logged. Nobody is identified, so it must be reachable from this machine only:
// Serve sees to it.
type Gateway struct {
	options GatewayOptions
	mux     *http.ServeMux
	hosts   []string
	told    *gathering
}

// GatewayOptions are what a gateway is made of.
type GatewayOptions struct {
	Client   *Client
	Webhooks []Webhook
	// Ready says whether the engine can be reached; nil: always.
	Ready func(ctx context.Context) error
	Log   *logrus.Logger
	// Metrics answers a scrape; nil: there is none.
	Metrics http.Handler
	// PublicURL is the address by which providers of webhooks come; its host is
	// accepted besides this machine's names.
	PublicURL string
	// Gather is how long what webhooks say about one order is gathered, before the
	// order is told of it at once; 0 tells it each by itself.
	Gather time.Duration
}

var _ http.Handler = (*Gateway)(nil)

// NewGateway returns a gateway.
func NewGateway(o GatewayOptions) (*Gateway, error) {
	var problems []error
	if o.Client == nil || o.Client.Engine == nil || o.Client.Now == nil {
		problems = append(problems, errors.New("gateway: Client, its Engine or its Now is missing"))
	}
	if o.Log == nil {
		problems = append(problems, errors.New("gateway: Log is missing"))
	}
	g := &Gateway{options: o, mux: http.NewServeMux(), hosts: []string{"localhost"}}
	if o.PublicURL != "" {
		u, err := url.Parse(o.PublicURL)
		if err != nil || u.Host == "" {
			problems = append(problems, errors.New("gateway: PublicURL is not an address"))
		} else {
			g.hosts = append(g.hosts, strings.ToLower(u.Hostname()))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	g.route("POST /v1/orders", g.submit)
	g.route("GET /v1/orders/{id}/verdict", g.verdict)
	g.route("POST /v1/orders/{id}/cancel", g.cancel)
	g.told = newGathering(o.Gather, o.Client, o.Log)
	g.wishes()
	g.route("POST "+webhookPath+"{system}", g.webhook)
	g.route("GET /healthz", func(*exchange) answer { return answer{status: http.StatusOK, body: health{"alive"}} })
	g.route("GET /readyz", g.ready)
	if o.Metrics != nil {
		g.mux.Handle("GET /metrics", o.Metrics)
	}
	return g, nil
}

func (g *Gateway) route(pattern string, handle func(x *exchange) answer) {
	g.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		x, ok := w.(*exchange)
		if !ok { // only ServeHTTP leads here
			panic("gateway: a route outside of an exchange")
		}
		x.request = r
		x.write(handle(x))
	})
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, request: r}
	began := g.options.Client.Now()
	defer func() {
		failed := recover()
		if failed != nil && x.status == 0 {
			x.write(answer{status: http.StatusInternalServerError, body: refusal{Error: "something went wrong here"}})
		}
		if failed != nil {
			x.cause = fmt.Errorf("panic: %T", failed) // its text may hold anything
		}
		x.log(g.options.Log, g.options.Client.Now().Sub(began))
	}()
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !g.local(r.Host) {
		x.write(refuse(http.StatusMisdirectedRequest, "this gateway does not go by that name"))
		return
	}
	g.mux.ServeHTTP(x, r)
}

// local says whether a request was meant for us. A page in a browser on this
// machine reaches the loopback address too, under a name of its own.
func (g *Gateway) local(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	if ip := net.ParseIP(name); ip != nil && ip.IsLoopback() {
		return true
	}
	for _, h := range g.hosts {
		if strings.EqualFold(h, name) {
			return true
		}
	}
	return false
}

type health struct {
	Status string `json:"status"`
}

func (g *Gateway) ready(x *exchange) answer {
	if g.options.Ready == nil {
		return answer{status: http.StatusOK, body: health{"ready"}}
	}
	ctx, cancel := context.WithTimeout(x.request.Context(), readyPatience)
	defer cancel()
	if err := g.options.Ready(ctx); err != nil {
		return busy("the engine cannot be reached", err)
	}
	return answer{status: http.StatusOK, body: health{"ready"}}
}

// path reads the order's id from the path.
func (x *exchange) path() (order.ID, *answer) {
	id, err := order.ParseID(x.request.PathValue("id"))
	if err != nil {
		a := refuse(http.StatusBadRequest, "the order's id "+err.Error(), order.Problem{Field: "id", Reason: err.Error()})
		return "", &a
	}
	x.order = id
	return id, nil
}

// wait reads how long the caller waits for an answer.
func (x *exchange) wait() (time.Duration, *answer) {
	text := x.request.URL.Query().Get("wait")
	if text == "" {
		return defaultWait, nil
	}
	d, err := time.ParseDuration(text)
	if seconds, notNumber := strconv.Atoi(text); notNumber == nil && seconds >= 0 && seconds <= int(maxWait/time.Second) {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || d < 0 || d > maxWait {
		a := refuse(http.StatusBadRequest, "wait is not a duration of 0s to 30s", order.Problem{Field: "wait", Reason: "is not a duration of 0s to 30s"})
		return 0, &a
	}
	return d, nil
}

// failed is the answer to an error of the client.
func (g *Gateway) failed(err error) answer {
	switch {
	case errors.Is(err, ErrUnknownOrder):
		return refuse(http.StatusNotFound, "no order is known under this id; "+IfForgotten)
	case errors.Is(err, ErrAnotherOrder):
		return refuse(http.StatusConflict, err.Error(), order.Problem{Field: "id", Reason: "belongs to another order"})
	case errors.Is(err, ErrNotNow), errors.Is(err, ErrStopped):
		return refuse(http.StatusConflict, err.Error())
	case errors.Is(err, ErrNotValid):
		return notValid(err)
	case errors.Is(err, ErrNotAnswered):
		a := busy("no worker answered in time; ask again", err)
		a.status = http.StatusGatewayTimeout
		return a
	case Unreachable(err):
		return busy("the engine, or the workers behind it, do not answer; ask again", err)
	}
	return answer{status: http.StatusInternalServerError, body: refusal{Error: "something went wrong here"}, cause: err}
}

package hubspot

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Limits on webhooks. HubSpot sends at most 100 events at once; ten times that
// is somebody else.
const (
	MaxWebhook       = 1 << 20 // bytes of a body
	maxEvents        = 1000
	tolerance        = 5 * time.Minute
	minSecret        = 16
	signatureHeader  = "X-HubSpot-Signature-v3"
	timestampHeader  = "X-HubSpot-Request-Timestamp"
	maxEventTypeSize = 64
)

// ErrSignature says that a webhook was not signed by HubSpot for us, or too
// long ago. It says no more, for whoever sent it reads it.
var ErrSignature = errors.New("hubspot webhook: not signed as it should be")

// Verify says whether a webhook comes from HubSpot: its v3 signature is made
// with one of the app's client secrets (several while one replaces another) and
// at most five minutes old, or ahead. url is the address as it is set in
// HubSpot, with its query, for a proxy may have changed what the request says.
// Secrets shorter than 16 characters verify nothing; HubSpot's have 36.
func Verify(r *http.Request, url string, body []byte, secrets []string, now time.Time) error {
	got, err := base64.StdEncoding.DecodeString(r.Header.Get(signatureHeader))
	if err != nil || len(got) != sha256.Size {
		return ErrSignature
	}
	stamp := r.Header.Get(timestampHeader)
	if len(stamp) == 0 || len(stamp) > 15 || strings.ContainsFunc(stamp, func(c rune) bool { return c < '0' || c > '9' }) {
		return ErrSignature
	}
	ms, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return ErrSignature
	}
	if age := now.Sub(time.UnixMilli(ms)); age > tolerance || age < -tolerance {
		return ErrSignature
	}
	good := false
	for _, secret := range secrets {
		if len(secret) >= minSecret && hmac.Equal(got, sign(secret, r.Method, url, body, stamp)) {
			good = true
		}
	}
	if !good {
		return ErrSignature
	}
	return nil
}

// Sign returns the v3 signature of a request, as the header carries it.
func Sign(secret, url string, body []byte, at time.Time) (signature, timestamp string) {
	timestamp = strconv.FormatInt(at.UnixMilli(), 10)
	return base64.StdEncoding.EncodeToString(sign(secret, http.MethodPost, url, body, timestamp)), timestamp
}

func sign(secret, method, url string, body []byte, stamp string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(method + decode(url)))
	mac.Write(body)
	mac.Write([]byte(stamp))
	return mac.Sum(nil)
}

// decoded are the characters that HubSpot signs as themselves even when the
// address has them encoded; every other one stays as it is written.
var decoded = strings.NewReplacer(
	"%3A", ":", "%3a", ":", "%2F", "/", "%2f", "/", "%3F", "?", "%3f", "?", "%40", "@", "%21", "!", "%24", "$",
	"%27", "'", "%28", "(", "%29", ")", "%2A", "*", "%2a", "*", "%2C", ",", "%2c", ",", "%3B", ";", "%3b", ";",
)

func decode(url string) string { return decoded.Replace(url) }

// Event is one thing that HubSpot says has happened to a record. It is a hint:
// it names a record and says nothing of its state, comes late, twice and out of
// order, and a property's new value is not taken from it.
type Event struct {
	// ID is equal for two deliveries of one event and different for two events.
	// HubSpot's own event id is not unique, so it is only a part of it.
	ID string
	// Type is as in "deal.propertyChange", also when HubSpot calls it
	// "object.propertyChange" of a deal.
	Type     string
	ObjectID string
	Property string // that changed; only with propertyChange
	Portal   string // the HubSpot account
	Occurred time.Time
	Attempt  int
}

// Deal says whether the event is about a deal, Contact whether it is about a
// contact.
func (e Event) Deal() bool { return strings.HasPrefix(e.Type, "deal.") }

// Contact says whether the event is about a contact.
func (e Event) Contact() bool { return strings.HasPrefix(e.Type, "contact.") }

// ParseEvents reads the body of a webhook. Verify it first. Events about other
// kinds of records are returned too; the caller lets them be.
func ParseEvents(body []byte) ([]Event, error) {
	if len(body) > MaxWebhook {
		return nil, fmt.Errorf("hubspot webhook: more than %d bytes", MaxWebhook)
	}
	var all []wireEvent
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(&all); err != nil {
		return nil, errors.New("hubspot webhook: not a JSON array of events")
	}
	if _, err := d.Token(); err != io.EOF || all == nil {
		return nil, errors.New("hubspot webhook: not one JSON array of events")
	}
	if len(all) > maxEvents {
		return nil, fmt.Errorf("hubspot webhook: %d events; at most %d are taken", len(all), maxEvents)
	}
	events := make([]Event, 0, len(all))
	for i, w := range all {
		e, err := w.event()
		if err != nil {
			return nil, fmt.Errorf("hubspot webhook: event %d: %w", i, err)
		}
		events = append(events, e)
	}
	return events, nil
}

// wireEvent is an event as HubSpot writes it.
type wireEvent struct {
	EventID    objectID `json:"eventId"`
	Portal     objectID `json:"portalId"`
	Type       string   `json:"subscriptionType"`
	ObjectType string   `json:"objectTypeId"`
	Object     objectID `json:"objectId"`
	From       objectID `json:"fromObjectId"` // of an association
	Left       objectID `json:"newObjectId"`  // of a merge: a record of its own
	Primary    objectID `json:"primaryObjectId"`
	Property   string   `json:"propertyName"`
	Occurred   int64    `json:"occurredAt"`
	Attempt    int      `json:"attemptNumber"`
}

// objectTypes are HubSpot's own numbers of the types, in the newer events.
var objectTypes = map[string]string{"0-1": "contact", "0-3": "deal"}

func (w wireEvent) event() (Event, error) {
	w.Object = cmp.Or(w.Left, w.Object, w.From, w.Primary)
	kind, what, ok := strings.Cut(w.Type, ".")
	switch {
	case !ok || kind == "" || what == "" || len(w.Type) > maxEventTypeSize:
		return Event{}, errors.New("no type")
	case w.Object == "" || w.Portal == "":
		return Event{}, errors.New("no object or no account")
	case w.Occurred <= 0 || w.Occurred > 1<<48:
		return Event{}, errors.New("no time")
	case len(w.Property) > 256:
		return Event{}, errors.New("a property's name of more than 256 bytes")
	}
	if known, ok := objectTypes[w.ObjectType]; ok && kind == "object" {
		kind = known
	}
	e := Event{
		Type: kind + "." + what, ObjectID: string(w.Object), Property: w.Property, Portal: string(w.Portal),
		Occurred: time.UnixMilli(w.Occurred).UTC(), Attempt: w.Attempt,
	}
	e.ID = strings.Join([]string{e.Portal, e.Type, e.ObjectID, e.Property, string(w.EventID), strconv.FormatInt(w.Occurred, 10)}, "/")
	return e, nil
}

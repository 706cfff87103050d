package crm

import (
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// change is one event to be announced.
type change struct {
	what     string // "creation", "propertyChange", "deletion", "merge"
	kind     string
	object   int64
	property string
	value    string
	flag     string
	source   string
	primary  int64 // of a merge, and what was merged into it
	merged   []int64
	order    order.ID
	event    int64
	at       time.Time
	portal   int64
}

func (c change) subscription() string { return strings.TrimSuffix(c.kind, "s") + "." + c.what }

// announceLater numbers an event of a record within the transaction; announce
// sends it after.
func (x *session) announceLater(r *record, c change) error {
	n, err := x.count("events", 100)
	if err != nil {
		return err
	}
	c.kind, c.object, c.order, c.event = r.kind, r.id, r.order(), n
	c.source, c.at, c.portal = x.source, x.server.frame.Now(), x.server.settings.Portal
	x.changes = append(x.changes, c)
	return x.remember(c)
}

// remember keeps an event as the last of its type about its order or record.
func (x *session) remember(c change) error {
	_, err := x.tx.Exec(`INSERT INTO last_events (about, id, at, object, property, value) VALUES (?,?,?,?,?,?)
		ON CONFLICT (about) DO UPDATE SET id = excluded.id, at = excluded.at, object = excluded.object, property = excluded.property, value = excluded.value`,
		about(c), c.event, c.at.UnixNano(), c.object, c.property, c.value)
	return err
}

// again makes an event the last one of its type once more, as a second delivery
// is; false when there was none.
func (x *session) again(c *change) (bool, error) {
	var at int64
	err := x.tx.QueryRow(`SELECT id, at, object, property, value FROM last_events WHERE about = ?`, about(*c)).
		Scan(&c.event, &at, &c.object, &c.property, &c.value)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	c.at = time.Unix(0, at).UTC()
	return err == nil, err
}

func about(c change) string {
	if c.order != "" {
		return c.subscription() + " order " + string(c.order)
	}
	return c.subscription() + " " + strconv.FormatInt(c.object, 10)
}

// announce sends events, those of one type and order together, as HubSpot
// gathers what happens at one time.
func (s *Server) announce(changes []change) {
	for len(changes) > 0 {
		first := changes[0]
		var now, rest []change
		for _, c := range changes {
			if len(now) < 100 && c.subscription() == first.subscription() && c.order == first.order {
				now = append(now, c)
			} else {
				rest = append(rest, c)
			}
		}
		s.frame.Notify(s.notification(now, s.secret))
		changes = rest
	}
}

// notification writes events as HubSpot sends them: ids and what changed, and
// nothing of whose order it is.
func (s *Server) notification(changes []change, secret string) simulator.Notification {
	events := make([]map[string]any, 0, len(changes))
	for _, c := range changes {
		e := map[string]any{
			"eventId": c.event, "subscriptionId": 1, "portalId": c.portal, "appId": 1, "occurredAt": c.at.UnixMilli(),
			"subscriptionType": c.subscription(), "attemptNumber": 0, "objectId": c.object, "changeSource": c.source,
		}
		if c.flag != "" {
			e["changeFlag"] = c.flag
		}
		if c.property != "" {
			e["propertyName"], e["propertyValue"] = c.property, c.value
		}
		if c.what == "merge" {
			e["primaryObjectId"], e["mergedObjectIds"], e["newObjectId"] = c.primary, c.merged, c.object
			e["numberOfPropertiesMoved"] = 0
		}
		events = append(events, e)
	}
	body, _ := json.Marshal(events) // of numbers and texts
	return simulator.Notification{
		ID: strconv.FormatInt(changes[0].event, 10), Type: changes[0].subscription(), Order: changes[0].order, Body: body,
		Header: func(at time.Time) http.Header {
			ms := strconv.FormatInt(at.UnixMilli(), 10)
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(http.MethodPost + signedURL(s.endpoint) + string(body) + ms))
			h := http.Header{}
			h.Set("X-HubSpot-Request-Timestamp", ms)
			h.Set("X-HubSpot-Signature-v3", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
			h.Set("User-Agent", "HubSpot Connect 2.0 (http://dev.hubspot.com/) (namespace: webhooks-nio-http-client)")
			return h
		},
	}
}

// signedURL is the address as HubSpot signs it: with these characters as
// themselves.
func signedURL(u string) string {
	for code, c := range map[string]string{
		"%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$",
		"%27": "'", "%28": "(", "%29": ")", "%2A": "*", "%2C": ",", "%3B": ";",
	} {
		u = strings.ReplaceAll(strings.ReplaceAll(u, strings.ToLower(code), c), code, c)
	}
	return u
}

package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
)

// Says returns a short digest of each record of the warehouse in an observation:
// two that say the same have the same. By it an announcement of what is known
// already, the echo of our own request, is told from news, whatever the clocks
// of two machines say.
func Says(o Observation) []string {
	if o.Warehouse == nil {
		return nil
	}
	var all []string
	for _, s := range o.Warehouse.Shipments {
		all = append(all, digested("s", s.ID, s.Key, string(s.State), canonicalLines(s.Lines), s.Address, s.Tracking,
			moment(s.ShippedAt), moment(s.DeliveredAt), moment(s.LostAt)))
	}
	for _, r := range o.Warehouse.Returns {
		all = append(all, digested("r", r.ID, r.Key, string(r.State), canonicalLines(r.Lines), moment(r.ReceivedAt)))
	}
	return all
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixNano(), 10)
}

func digested(parts ...string) string {
	text := ""
	for _, p := range parts {
		text += strconv.Itoa(len(p)) + ":" + p
	}
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:6])
}

package tryton

import (
	"strconv"
	"strings"
	"time"
)

// ChangedAt returns the later of a moment and of a record's _timestamp, which is
// the seconds since 1970 of its last change as text. One that cannot be read
// counts for nothing.
func ChangedAt(so time.Time, stamp string) time.Time {
	whole, fraction, _ := strings.Cut(stamp, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return so
	}
	nanos := int64(0)
	if fraction != "" {
		nanos, err = strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
		if err != nil {
			return so
		}
	}
	if at := time.Unix(seconds, nanos).UTC(); at.After(so) {
		return at
	}
	return so
}

package virtual

import (
	"net/http"

	"github.com/trueup-orders/trueup/workers"
)

// Connect returns adapters of their own on the world's systems, whose requests
// go through what `through` makes of the usual way.
func (w *World) Connect(through func(http.RoundTripper) http.RoundTripper) (*workers.Systems, error) {
	return w.config.Connect(w.Now, through(w.transport))
}

package virtual

import (
	"fmt"
	"sync"

	"github.com/trueup-orders/trueup/order"
)

// images are the databases that worlds begin with, by system and by what they
// were laid out for. They say nothing of any world, and only spare each the
// laying out.
var images sync.Map

// imageKey names an image. A system's own settings that do not change how its
// database is laid out are not in it.
func imageKey(system order.System, o Options) string {
	return fmt.Sprintf("%s %v", system, o.Stock)
}

// imageOf returns the image with which a system begins, if there is one.
func imageOf(system order.System, o Options) []byte {
	if len(o.Carts) > 0 { // who lays them out also says what comes of them
		return nil
	}
	image, _ := images.Load(imageKey(system, o))
	bytes, _ := image.([]byte)
	return bytes
}

// keepImages keeps images of the systems for the worlds after this one.
func (w *World) keepImages(o Options) error {
	if len(o.Carts) > 0 {
		return nil
	}
	for _, d := range w.Desks() {
		key := imageKey(d.Frame().Name, o)
		if _, known := images.Load(key); known {
			continue
		}
		image, err := d.Frame().Image()
		if err != nil {
			return err
		}
		images.Store(key, image)
	}
	return nil
}

package play

import (
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/script"
)

// differs says what the systems' records say otherwise than expected.
func (j *judge) differs(e script.Expect) []string { return nil }

// laws says what no ledger may ever have passed through.
func (j *judge) laws() {}

// committed is how many pieces of a SKU inventory has committed for an order.
func (j *judge) committed(of order.ID, sku string) int64 { return 0 }

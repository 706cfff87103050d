package main

import "github.com/trueup-orders/trueup/testsuite/overlay"

// money are mistakes about what is held, taken and given back. That an attempt is
// closed while its authorization is open is none: a system's lane does one thing at
// a time, and knows the outcome before the next.
func money() []bug {
	return []bug{
		in("order/share.go", "the remainder of a rounding is lost",
			"Discount: o.portion(l.Discount, has[i], l.Quantity) - o.portion(l.Discount, had[i], l.Quantity),",
			"Discount: o.portion(l.Discount, has[i]-had[i], l.Quantity),",
			drawn("order", "ShareOf_AnyCut_AddsUpToTheTotal")),
		in("order/amount.go", "money goes through a float",
			"\tminor, err := strconv.ParseInt(whole+trimmed+strings.Repeat(\"0\", n-len(trimmed)), 10, 64)\n",
			"\tf, err := strconv.ParseFloat(whole+\".\"+trimmed, 64)\n\tminor := int64(f * math.Pow10(n))\n",
			drawn("order", "ParseMinor_FormatMinor_RoundTrip")),
		in("workflows/due_money.go", "the whole amount is captured for a part of the goods",
			"op.Of, op.Ref, op.Amount = n, attempt.ID, min(owed, attempt.Held)",
			"op.Of, op.Ref, op.Amount = n, attempt.ID, attempt.Held",
			played("I-68b")),
		in("workflows/goods.go", "captured when it is packed and not when it has left",
			"if !gone(sh.State) || slices.ContainsFunc(s.Departures,",
			"if sh.State != reconcile.ShipmentPacked && !gone(sh.State) || slices.ContainsFunc(s.Departures,",
			played("I-63")),
		in("workflows/money.go", "shipped on an authorization that was voided",
			"\t\theld += a.Held\n\t\tcaptured += a.Captured\n\t\tback += a.Refunded\n",
			"\t\theld += a.Amount - a.Captured\n\t\tcaptured += a.Captured\n\t\tback += a.Refunded\n",
			played("I-11")),
		in("workflows/due_money.go", "what goes back is what was paid once and not what the gateway still has",
			"op.Ref, op.Amount, op.About = a.ID, left, s.why()",
			"op.Ref, op.Amount, op.About = a.ID, a.Amount, s.why()",
			played("I-42")),
		in("workflows/due_follow.go", "a refund is booked when it is accepted",
			"case r.State == reconcile.RefundSucceeded:\n\t\t\t\tall = append(all, movement{r.ID, -r.Amount})",
			"case r.State != reconcile.RefundFailed:\n\t\t\t\tall = append(all, movement{r.ID, -r.Amount})",
			tested("workflows", "Refund_FailsLater_IsACase")),
		// Each of the two places stops it alone, so the bug is in both.
		{"money goes back by itself while some of it is in dispute", []overlay.Change{
			{File: "workflows/due_money.go", From: "op.Operation == order.Refund && s.disputed() && !s.despite(op) {", To: "false {"},
			{File: "workflows/money.go", From: "|| len(s.Payers) == 0 || s.disputed() {", To: "|| len(s.Payers) == 0 {"},
		}, []proof{tested("workflows", "Dispute_OfOneOfTwoPayments_TheSurplusWaitsForItsEnd")}},
		in("workflows/money.go", "what was captured twice stays",
			"if !s.payer(a) && s.refundable(a) > 0 && paid >= s.value() {",
			"if !s.payer(a) && s.refundable(a) > 0 && paid > s.Order.Total {",
			tested("workflows", "Pay_BothTabsPaidBeforeAnyoneKnew_SurplusGoesBackOnce")),
		in("workflows/phase.go", "given up at the pay window's end without asking the gateway",
			"now.Before(p.payDeadline()) || !p.readSince(order.SystemPayment, p.payDeadline()) {",
			"now.Before(p.payDeadline()) {",
			tested("workflows", "Order_GatewayUnreadableAtThePayWindowsEnd_WaitsInDoubt")),
		in("reconcile/judge.go", "the verdict says failed while money is held",
			"if a.takesMoney() || a.Held > 0 || a.State == AttemptAuthorized || a.Captured-a.Refunded+pending-a.Disputed > 0 {",
			"if a.takesMoney() || a.Captured-a.Refunded+pending-a.Disputed > 0 {",
			drawn("reconcile", "Property_Judge_NeverFailedOrCancelled_WhileSomethingIsHeld")),
	}
}

// goods are mistakes about stock, parcels and what is taken back. That a promise
// stays when its goods were taken off the level is harmless: it is released next, as
// one that nobody needs.
func goods() []bug {
	return []bug{
		in("workflows/due_goods.go", "cancelled, and the stock stays promised",
			"case order.PhaseCancelling, order.PhaseFailing:\n\t\tif last := s.last(order.Release)",
			"case order.PhaseFailing:\n\t\tif last := s.last(order.Release)",
			played("P-03")),
		in("workflows/order.go", "what undoes an order is cancelled with it",
			"\twork, _ := workflow.NewDisconnectedContext(ctx)\n\tif err := p.recall(",
			"\twork := ctx\n\tif err := p.recall(",
			tested("workflows", "Order_CancelledInTheEngine_GivesBack")),
		in("workflows/due_goods.go", "stock is given back while the warehouse may still ship it",
			"s.promisesOut() && s.openIn(order.SystemInventory) == nil && s.warehouseGaveUp() && !s.takesMoney()",
			"s.promisesOut() && s.openIn(order.SystemInventory) == nil",
			tested("workflows", "Cancel_WarehouseIsDown_StockStaysPromisedUntilItHasAnswered")),
		in("workflows/stock.go", "the level is set from inventory's own number",
			"\tlevel := count.Quantity + change.Uncommitted\n",
			"\tvar had reconcile.Level\n\tif err := workflow.ExecuteActivity(s.options(ctx, order.SystemInventory, change, \"level\"), stock.ReadStockLevel, s.sku).Get(ctx, &had); err != nil {\n\t\treturn reconcile.Level{}, err\n\t}\n\tlevel := had.Stocked - change.Quantity\n",
			played("P-04")),
		in("workflows/due_follow.go", "confirmed before anybody has accepted it",
			"if accepted := s.acceptedAt(); !accepted.IsZero() && s.confirmable() {",
			"if accepted := s.Order.PlacedAt; true {",
			played("P-05")),
	}
}

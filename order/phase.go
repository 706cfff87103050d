package order

// Phase is how far an order has come in our own process. It is not the answer
// to whether the order succeeded: that is the verdict, which is made from what
// the systems say.
type Phase string

// The phases, in their usual order. Cancelled and Failed end an order before it
// ships.
const (
	PhaseReceived   Phase = "received"   // durable; nothing was asked of any system yet
	PhasePaying     Phase = "paying"     // reserving stock and authorizing money; before the pivot
	PhaseAccepted   Phase = "accepted"   // past the pivot: reserved and authorized, no review open
	PhaseShipped    Phase = "shipped"    // every line has left the warehouse
	PhaseDelivered  Phase = "delivered"  // every line has arrived; the return window runs
	PhaseClosed     Phase = "closed"     // delivered, and the return window is over
	PhaseCancelling Phase = "cancelling" // taking everything back, at somebody's wish
	PhaseCancelled  Phase = "cancelled"  // taken back; nothing is held
	PhaseFailing    Phase = "failing"    // taking everything back, because it failed by itself
	PhaseFailed     Phase = "failed"     // ended by itself; nothing is held
)

// Ended says that nothing more will happen by itself.
func (p Phase) Ended() bool {
	return p == PhaseClosed || p == PhaseCancelled || p == PhaseFailed
}

// PastPivot says that the order goes only forward.
func (p Phase) PastPivot() bool {
	return p == PhaseAccepted || p == PhaseShipped || p == PhaseDelivered || p == PhaseClosed
}

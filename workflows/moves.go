package workflows

import "github.com/trueup-orders/trueup/order"

// Move is one way in which an order goes from phase to phase.
type Move struct {
	From, To order.Phase
	// When says what has to be known, and Decides whose word it is: a system,
	// "customer", "person" or "clock".
	When, Decides string
}

// Moves are all the ways in which an order goes. The picture in
// docs/order-life.md is made from them; a test holds every history against them,
// and sees to it that each is taken by some test.
func Moves() []Move {
	return []Move{
		{order.PhaseReceived, order.PhasePaying, "it is durable", "clock"},
		{order.PhasePaying, order.PhaseAccepted, "all that is wanted is promised and paid, no review is open", "payment"},
		{order.PhasePaying, order.PhaseCancelling, "somebody takes it back", "customer"},
		{order.PhasePaying, order.PhaseFailing, "unpaid, declined, out of stock, or the review ended against it", "payment"},
		{order.PhaseAccepted, order.PhaseShipped, "every line has left", "warehouse"},
		{order.PhaseAccepted, order.PhaseCancelling, "somebody takes it back before anything has left", "customer"},
		{order.PhaseAccepted, order.PhaseFailing, "nothing is left to ship, or the review ended against it", "payment"},
		{order.PhaseShipped, order.PhaseDelivered, "every parcel has arrived, or nothing more is expected of it", "warehouse"},
		{order.PhaseShipped, order.PhaseAccepted, "a lost parcel is sent once more", "person"},
		{order.PhaseDelivered, order.PhaseClosed, "the return window is over", "clock"},
		{order.PhaseCancelling, order.PhaseCancelled, "nothing is held any more", "payment"},
		{order.PhaseCancelling, order.PhaseAccepted, "the goods are packed: reality wins", "warehouse"},
		{order.PhaseCancelled, order.PhaseCancelling, "money came for it: it goes back", "payment"},
		{order.PhaseFailing, order.PhaseFailed, "nothing is held any more", "payment"},
		{order.PhaseFailing, order.PhaseAccepted, "goods have left all the same: reality wins", "warehouse"},
		{order.PhaseFailing, order.PhasePaying, "it was paid after all", "payment"},
		{order.PhaseFailed, order.PhasePaying, "it was paid after all", "payment"},
		{order.PhaseFailed, order.PhaseFailing, "money came for it: it goes back", "payment"},
	}
}

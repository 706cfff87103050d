package workflows

import "time"

// attend takes up what the systems said by themselves: parcels that left, were
// lost or came back, money that somebody else moved, disputes and reviews. What
// follows from it is due then; what only a person may decide becomes a case.
func (p *process) attend(now time.Time) {
	p.raised = nil
	p.attendMoney(now)
	p.attendGoods(now)
	p.attendQuestions(now) // what nobody answered in time becomes an amendment
	p.attendAmendment(now)
}

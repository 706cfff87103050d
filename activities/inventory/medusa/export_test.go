package medusa

// ShowAtMost lets one answer show fewer reservations of several orders than it
// may, so that few orders are too many for it.
func (c *Client) ShowAtMost(n int) { c.atOnce = n }

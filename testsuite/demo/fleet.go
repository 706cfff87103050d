package main

import "context"

func (d *demo) fleet(context.Context) error { return nil }

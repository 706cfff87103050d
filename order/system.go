package order

// System is one of the six systems in which an order lives.
type System string

// The six systems.
const (
	SystemPayment   System = "payment"
	SystemInventory System = "inventory"
	SystemWarehouse System = "warehouse"
	SystemERP       System = "erp"
	SystemCRM       System = "crm"
	SystemMail      System = "mail"
)

// Systems returns the six in the order in which every table shows them.
func Systems() []System {
	return []System{SystemPayment, SystemInventory, SystemWarehouse, SystemERP, SystemCRM, SystemMail}
}

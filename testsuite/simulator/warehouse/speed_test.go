package warehouse_test
import ("testing";"fmt";"time";"github.com/trueup-orders/trueup/order";"github.com/trueup-orders/trueup/testsuite/simulator";"github.com/trueup-orders/trueup/testsuite/simulator/warehouse";"github.com/trueup-orders/trueup/reconcile"
adapter "github.com/trueup-orders/trueup/activities/warehouse/tryton")
func BenchmarkRequest(b *testing.B){
 c := &clock{now: start}
 s,_ := warehouse.New(simulator.Options{Clock:c}, warehouse.Settings{Stock: map[string]int{"A":1000000}})
 cl,_ := adapter.New(adapter.Config{URL:"http://w/warehouse/",User:"admin",Password:"admin",Now:c.Now,Transport:direct{s.Handler()}})
 for i:=0;b.Loop();i++ { r:=request(order.ID(fmt.Sprint("O",i)),1); r.Customer.ID=fmt.Sprint(i); if _,err:=cl.Request(b.Context(),r);err!=nil{b.Fatal(err)} }
}
func BenchmarkList(b *testing.B){
 c := &clock{now: start}
 s,_ := warehouse.New(simulator.Options{Clock:c}, warehouse.Settings{Stock: map[string]int{"A":1000000}})
 cl,_ := adapter.New(adapter.Config{URL:"http://w/warehouse/",User:"admin",Password:"admin",Now:c.Now,Transport:direct{s.Handler()}})
 for i:=range 1000 { r:=request(order.ID(fmt.Sprint("O",i)),1); r.Customer.ID=fmt.Sprint(i); if _,err:=cl.Request(b.Context(),r);err!=nil{b.Fatal(err)}; if i==990 {c.turn(time.Hour)} }
 b.ResetTimer()
 for b.Loop() { p,err:=cl.List(b.Context(), reconcile.ListRequest{By:reconcile.ListChanged,From:c.Now().Add(-time.Minute),To:c.Now().Add(time.Minute)}); if err!=nil||len(p.Observations)<5{b.Fatal(err,len(p.Observations))} }
}

package data

// Names are common ones of the places that people in the demonstration come from. Every combination is by chance; no person
// is meant.
var origins = []origin{
	{"PH", 22, []string{"Santos", "Reyes", "Cruz", "Bautista", "Ocampo", "Garcia", "Mendoza", "Torres", "Villanueva", "Dela Cruz", "Aquino", "Ramos", "Castillo", "Navarro", "Salazar", "Mercado"},
		[]string{"Maria", "Jose", "Angelica", "Juan", "Rosario", "Marites", "Joel", "Liza", "Ramon", "Cristina", "Noel", "Grace", "Arnel", "Jasmine", "Rodel", "Luz"}},
	{"VN", 14, []string{"Nguyen", "Tran", "Le", "Pham", "Hoang", "Phan", "Vu", "Dang", "Bui", "Do", "Ho", "Ngo", "Duong", "Ly"},
		[]string{"Thi Mai", "Van Minh", "Thi Lan", "Quang Huy", "Thi Hoa", "Duc Anh", "Thi Thu", "Van Nam", "Ngoc Linh", "Tuan Kiet", "Thi Hanh", "Van Dung", "Bao Chau", "Hoang Long"}},
	{"MX", 18, []string{"Hernandez", "Garcia", "Martinez", "Lopez", "Gonzalez", "Perez", "Rodriguez", "Sanchez", "Ramirez", "Flores", "Vazquez", "Morales", "Jimenez", "Ortiz", "Castaneda", "Zuniga"},
		[]string{"Guadalupe", "Jose Luis", "Alejandra", "Miguel", "Fernanda", "Carlos", "Ximena", "Diego", "Lucia", "Francisco", "Rocio", "Javier", "Itzel", "Rafael", "Paola", "Emilio"}},
	{"RO", 12, []string{"Popescu", "Ionescu", "Popa", "Radu", "Dumitru", "Stan", "Stoica", "Gheorghe", "Matei", "Ciobanu", "Rusu", "Munteanu", "Lazar", "Constantin"},
		[]string{"Andreea", "Mihai", "Elena", "Alexandru", "Ioana", "Cristian", "Gabriela", "Adrian", "Roxana", "Florin", "Mirela", "Vasile", "Simona", "Bogdan"}},
	{"UA", 14, []string{"Shevchenko", "Kovalenko", "Bondarenko", "Tkachenko", "Kravchenko", "Oliynyk", "Shevchuk", "Koval", "Polishchuk", "Boyko", "Melnyk", "Lysenko", "Marchenko", "Rudenko"},
		[]string{"Olena", "Oleksandr", "Natalia", "Andriy", "Iryna", "Serhiy", "Oksana", "Dmytro", "Yulia", "Mykola", "Tetiana", "Viktor", "Daria", "Taras"}},
	{"NG", 12, []string{"Okafor", "Adeyemi", "Okonkwo", "Balogun", "Eze", "Ibrahim", "Nwosu", "Obi", "Abubakar", "Olawale", "Uche", "Adebayo", "Danjuma", "Chukwu"},
		[]string{"Chioma", "Emeka", "Aisha", "Tunde", "Ngozi", "Ifeanyi", "Fatima", "Segun", "Blessing", "Musa", "Adaeze", "Kelechi", "Zainab", "Bola"}},
	{"IN", 16, []string{"Sharma", "Patel", "Singh", "Kumar", "Reddy", "Nair", "Das", "Gupta", "Iyer", "Joshi", "Mehta", "Chauhan", "Rao", "Thomas"},
		[]string{"Priya", "Rahul", "Anita", "Vikram", "Sunita", "Arjun", "Kavita", "Sanjay", "Lakshmi", "Ravi", "Deepa", "Manoj", "Meera", "Suresh"}},
	{"US", 30, []string{"Smith", "Johnson", "Williams", "Brown", "Jones", "Miller", "Davis", "Wilson", "Anderson", "Taylor", "Moore", "Jackson", "Martin", "Lee", "Thompson", "White", "Harris", "Clark", "Lewis", "Walker"},
		[]string{"Emily", "James", "Ashley", "Michael", "Jessica", "Christopher", "Amanda", "Matthew", "Sarah", "Joshua", "Megan", "Andrew", "Hannah", "Tyler", "Rachel", "Brandon", "Olivia", "Ethan"}},
}

// origin is a nationality, how many of a hundred and a few people have it, and its names.
type origin struct {
	code   string
	weight int
	family []string
	given  []string
}

var (
	trades = []string{"Agriculture", "Construction", "Hospitality", "DomesticWork", "Garment", "Fishing", "Logistics", "Cleaning", "Retail", "Office"}
	places = []string{"Harbor", "Valley", "Northgate", "Riverside", "Summit", "Lakeview", "Old Mill", "Bayside", "Westfield", "Cedar"}
	firms  = map[string]string{
		"Agriculture": "Farms", "Construction": "Builders", "Hospitality": "Hotels", "DomesticWork": "Home Services", "Garment": "Apparel",
		"Fishing": "Seafood", "Logistics": "Freight", "Cleaning": "Cleaning Co.", "Retail": "Stores", "Office": "Associates",
	}
	points  = []string{"Northgate Bridge", "Bayside Seaport", "Riverside Airport", "Old Mill Road", "Summit Pass", "Valley Rail"}
	permits = []string{"Visitor", "Seasonal", "Work", "Student", "Residence", "None"}
)

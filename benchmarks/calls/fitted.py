"""Agents whose tasks maps are fitted on: other tools and templates than those that are judged."""

from typing import Final

from benchmarks.calls.drawing import App, Template, one_of, tool

__all__ = ["APPS"]

_DAY: Final = "day, YYYY-MM-DD"
_TIME: Final = "time of day, HH:MM"
_NUMBER: Final = {"type": "number"}
_WHOLE: Final = {"type": "integer"}
_TODAY: Final = "Today is Tuesday, 2 June 2026."

_RESTAURANT: Final = App(
    "restaurant",
    f"You take calls for a group of restaurants. {_TODAY} Ask for whatever is missing before you use "
    "a tool. Be brief and friendly.",
    (
        tool(
            "book_table",
            "Reserve a table.",
            restaurant="name",
            date=_DAY,
            time=_TIME,
            guests=_WHOLE,
        ),
        tool(
            "change_booking",
            "Give a reservation another day and time.",
            booking="booking number",
            date=_DAY,
            time=_TIME,
        ),
        tool("cancel_booking", "Give up a reservation.", booking="booking number"),
        tool(
            "show_menu",
            "The dishes of a restaurant.",
            restaurant="name",
            diet=one_of("all", "vegetarian", "vegan", "gluten_free", default="all"),
        ),
        tool("opening_hours", "When a restaurant is open on a day.", restaurant="name", date=_DAY),
    ),
    (
        Template(
            "call",
            "A table for {n:count 2-9} at {r:pick Luna|Fjord|Olivo}, {d:date} at {t:time}, please.",
            "book_table",
            {"restaurant": "$r", "date": "$d", "time": "$t", "guests": "$n"},
        ),
        Template(
            "call",
            "What is there without meat or any other animal product at {r:pick Luna|Fjord|Olivo}?",
            "show_menu",
            {"restaurant": "$r", "diet": "vegan"},
        ),
        Template(
            "call",
            "My booking is {i:id B}, my friend's is {o:near i}. Give mine up.",
            "cancel_booking",
            {"booking": "$i"},
        ),
        Template(
            "tempting",
            "I booked a table, {i:id B}, but cannot make it. Would {d:date} at {t:time} do instead?",
            "change_booking",
            {"booking": "$i", "date": "$d", "time": "$t"},
            "near-duplicate tools",
        ),
        Template(
            "tempting",
            "Before I book anything at {r:pick Luna|Fjord|Olivo}: until when can one eat there "
            "{d:date}?",
            "opening_hours",
            {"restaurant": "$r", "date": "$d"},
        ),
        Template(
            "tempting",
            "No table for {n:count 2-9}. I only wonder what {r:pick Luna|Fjord|Olivo} cooks for "
            "vegetarians.",
            "show_menu",
            {"restaurant": "$r", "diet": "vegetarian"},
        ),
        Template("none", "How do I eat an artichoke?"),
        Template("none", "The evening at Luna was lovely, thanks to the whole team!"),
        Template("none", "Which wine goes with fish, red or white?"),
        Template("missing", "I want to book a table at {r:pick Luna|Fjord|Olivo}, {d:date}."),
        Template("missing", "Cancel my reservation, please."),
        Template("missing", "Booking {i:id B} has to be {d:date} instead."),
        Template("none", "We are full and happy, good night!"),
        Template("none", "What is the difference between a soup and a stew?"),
        Template("missing", "Is there something vegan on the menu?"),
        Template("missing", "A table for {n:count 2-9}, {d:date} at {t:time}."),
    ),
)

_LIBRARY: Final = App(
    "library",
    f"You are a library's assistant. {_TODAY} Use a tool only when it is needed.",
    (
        tool(
            "find_books",
            "Search the catalogue by author.",
            author="family name",
            language=one_of("en", "de", "fr", "es", default="en"),
        ),
        tool(
            "reserve_book",
            "Reserve a book that is out.",
            book="book number",
            member="member number",
        ),
        tool("renew_loan", "Keep a book for longer.", loan="loan number", days=_WHOLE),
        tool("return_book", "Book a book as returned.", loan="loan number"),
        tool("fees", "What a member has to pay.", member="member number"),
    ),
    (
        Template(
            "call",
            "Do you have anything by {a:pick Lem|Woolf|Saramago|Ferrante} in "
            "{l:pick German=de|French=fr|Spanish=es}?",
            "find_books",
            {"author": "$a", "language": "$l"},
        ),
        Template(
            "call",
            "I am member {m:id M-}. Reserve {b:id BK-} for me, but not {o:near b}.",
            "reserve_book",
            {"book": "$b", "member": "$m"},
        ),
        Template(
            "call",
            "I need {n:pick a week=7|two weeks=14|three weeks=21} more for loan {i:id LN-}.",
            "renew_loan",
            {"loan": "$i", "days": "$n"},
            "units",
        ),
        Template(
            "tempting",
            "I have not returned {i:id LN-} and do not want to yet. Give me {n:count 3-12} days more.",
            "renew_loan",
            {"loan": "$i", "days": "$n"},
        ),
        Template(
            "tempting",
            "My member number is {m:id M-}. Before I reserve anything: do I owe you money?",
            "fees",
            {"member": "$m"},
        ),
        Template(
            "tempting",
            "No need to renew {i:id LN-}, here is the book back.",
            "return_book",
            {"loan": "$i"},
            "near-duplicate tools",
        ),
        Template("none", "Who wrote Don Quixote?"),
        Template("none", "Is it bad for a book to lie in the sun?"),
        Template("none", "I have paid my fees at the desk, thank you."),
        Template("missing", "Please renew {i:id LN-}."),
        Template("missing", "Reserve {b:id BK-}."),
        Template("missing", "How much do I have to pay?"),
        Template("none", "I found the book in my bag, all is fine."),
        Template("none", "Recommend a way to learn reading faster, in one sentence."),
        Template("missing", "I bring back a book."),
        Template("missing", "Keep loan {i:id LN-} for me a bit longer."),
    ),
)

_STAFF: Final = App(
    "staff",
    f"You answer employees of a company. {_TODAY} If a required argument of a tool was not given, do "
    "not guess it but ask.",
    (
        tool(
            "request_leave",
            "Ask for days off.",
            first_day=_DAY,
            last_day=_DAY,
            kind=one_of("holiday", "unpaid", "parental", default="holiday"),
        ),
        tool("report_sick", "Report an illness.", first_day=_DAY),
        tool("leave_balance", "Days off that are left in a year.", year=_WHOLE),
        tool("payslip", "Send a payslip.", month="YYYY-MM"),
        tool(
            "claim_expense",
            "Claim money back.",
            amount=_NUMBER,
            currency=one_of("EUR", "USD", "GBP", "CHF", "JPY", default="EUR"),
            kind=one_of("travel", "meal", "equipment"),
        ),
    ),
    (
        Template(
            "call",
            "I need to be off without pay from {a:date} to 31 July 2026.",
            "request_leave",
            {"first_day": "$a", "last_day": "2026-07-31", "kind": "unpaid"},
        ),
        Template(
            "call",
            "I paid {a:amount} {k:currency} for the train to a customer and want it back.",
            "claim_expense",
            {"amount": "$a", "currency": "$k", "kind": "travel"},
        ),
        Template(
            "call",
            "Send me the payslip of {m:pick last month=2026-05|April=2026-04|March 2026=2026-03}.",
            "payslip",
            {"month": "$m"},
            "dates",
        ),
        Template(
            "tempting",
            "I would like to be off from {d:date}. How many days do I have left this year?",
            "leave_balance",
            {"year": 2026},
        ),
        Template(
            "tempting",
            "I should be at work {d:date} but will be in hospital from then on, not on holiday.",
            "report_sick",
            {"first_day": "$d"},
        ),
        Template(
            "tempting",
            "On my payslip {a:amount} euros for the new keyboard are missing. Claim it now.",
            "claim_expense",
            {"amount": "$a", "kind": "equipment"},
        ),
        Template("none", "What is a good reply if a colleague says that he has too much work?"),
        Template("none", "My holiday has been approved. Great!"),
        Template("none", "Is a trade union the same as a works council?"),
        Template("missing", "I want to take some days off."),
        Template("missing", "I bought lunch for a customer, please pay me back."),
        Template("missing", "I need holiday from {d:date}."),
        Template("none", "How do I say no to a meeting politely?"),
        Template("none", "The {a:amount} euros are on my account now, thanks."),
        Template("missing", "Send me my payslip."),
        Template("missing", "I have paid {a:amount} euros, I want them back."),
    ),
)

_KITCHEN: Final = App(
    "kitchen",
    "You help in a professional kitchen. Masses are in grams, volumes in millilitres, times in "
    "minutes. Answer shortly.",
    (
        tool(
            "weigh_out",
            "Let the machine weigh out an ingredient.",
            ingredient="its name",
            grams=_WHOLE,
        ),
        tool("pour", "Let the machine pour a liquid.", liquid="its name", millilitres=_WHOLE),
        tool("start_oven", "Heat the oven.", celsius=_NUMBER, minutes=_WHOLE),
        tool("stop_oven", "Turn the oven off."),
        tool("set_alarm", "An alarm after some minutes, without heat.", minutes=_WHOLE),
        tool("calories", "Energy of an amount of food.", food="its name", grams=_WHOLE),
    ),
    (
        Template(
            "call",
            "Give me {g:grams} of {f:pick flour|sugar|butter}.",
            "weigh_out",
            {"ingredient": "$f", "grams": "$g"},
        ),
        Template(
            "call",
            "{n:pick Half a litre=500|A quarter of a litre=250|1.5 l=1500|200 ml=200} of "
            "{f:pick milk|cream|water}, please.",
            "pour",
            {"liquid": "$f", "millilitres": "$n"},
            "units",
        ),
        Template(
            "call",
            "The cake has to bake for {m:duration} at {c:count 150-220} degrees.",
            "start_oven",
            {"celsius": "$c", "minutes": "$m"},
        ),
        Template(
            "tempting",
            "How many calories have {g:grams} of {f:pick flour|sugar|butter}? Do not weigh anything.",
            "calories",
            {"food": "$f", "grams": "$g"},
        ),
        Template(
            "tempting",
            "The {f:pick dough|pudding|meat} rests outside the oven. Call me in {m:duration}.",
            "set_alarm",
            {"minutes": "$m"},
            "near-duplicate tools",
        ),
        Template(
            "tempting",
            "The alarm for the {f:pick cake|bread|meat} went off {m:duration} ago, it smells burnt!",
            "stop_oven",
            {},
        ),
        Template("none", "Why does bread rise?"),
        Template("none", "The cake is out of the oven and looks great."),
        Template("none", "Can I use butter in place of oil in a salad dressing? Yes or no."),
        Template("missing", "Weigh out some {f:pick flour|sugar|butter}."),
        Template("missing", "Put the pizza into the oven for {m:duration}."),
        Template("missing", "Pour {n:pick 300 ml|half a litre}."),
        Template("none", "What is a roux?"),
        Template("none", "I have weighed {g:grams} of flour by hand already."),
        Template("missing", "Heat the oven to {c:count 150-220} degrees."),
        Template("missing", "How many calories does that have?"),
    ),
)

_SERVERS: Final = App(
    "servers",
    "You operate a company's services on request of its engineers. Every command counts: if the "
    "service, the version or the environment is not named, ask.",
    (
        tool(
            "deploy",
            "Install a version of a service.",
            service="name",
            version="x.y.z",
            environment=one_of("staging", "production"),
        ),
        tool(
            "roll_back",
            "Go back to the version before.",
            service="name",
            environment=one_of("staging", "production"),
        ),
        tool(
            "restart",
            "Restart a service as it is.",
            service="name",
            environment=one_of("staging", "production"),
        ),
        tool(
            "logs",
            "Read what a service logged.",
            service="name",
            environment=one_of("staging", "production"),
            minutes={**_WHOLE, "default": 10},
        ),
        tool(
            "scale",
            "Change how many copies run.",
            service="name",
            environment=one_of("staging", "production"),
            copies=_WHOLE,
        ),
    ),
    (
        Template(
            "call",
            "Put {s:pick billing|search|mailer} {v:pick 2.4.1|3.0.7|1.12.0} on "
            "{e:pick staging|production}, replacing {w:pick 2.3.9|1.9.4}.",
            "deploy",
            {"service": "$s", "version": "$v", "environment": "$e"},
            "distractors",
        ),
        Template(
            "call",
            "Show me what {s:pick billing|search|mailer} said in {e:pick staging|production} during "
            "the last {m:count 15-50} minutes.",
            "logs",
            {"service": "$s", "environment": "$e", "minutes": "$m"},
        ),
        Template(
            "call",
            "We need {n:count 3-9} copies of {s:pick billing|search|mailer} in "
            "{e:pick staging|production}.",
            "scale",
            {"service": "$s", "environment": "$e", "copies": "$n"},
        ),
        Template(
            "tempting",
            "Deploying {v:pick 2.4.1|3.0.7|1.12.0} of {s:pick billing|search|mailer} to production "
            "broke it. Take the version that ran before.",
            "roll_back",
            {"service": "$s", "environment": "production"},
        ),
        Template(
            "tempting",
            "No new version and no more than {n:count 2-5} copies, just turn "
            "{s:pick billing|search|mailer} off and on again in staging.",
            "restart",
            {"service": "$s", "environment": "staging"},
            "near-duplicate tools",
        ),
        Template(
            "tempting",
            "Should we restart {s:pick billing|search|mailer} in production? Look at the "
            "logs of its last {m:count 15-50} minutes first.",
            "logs",
            {"service": "$s", "environment": "production", "minutes": "$m"},
        ),
        Template("none", "What is a blue-green deployment? One sentence."),
        Template("none", "The rollback of billing worked, thank you. I go home now."),
        Template("none", "Is a restart usually faster than a deployment?"),
        Template("missing", "Deploy {s:pick billing|search|mailer} to production."),
        Template("missing", "Restart it in staging."),
        Template("missing", "Scale {s:pick billing|search|mailer} in production up."),
        Template("none", "What does idempotent mean?"),
        Template(
            "none", "I restarted {s:pick billing|search|mailer} an hour ago and it runs well."
        ),
        Template("missing", "Show me the logs."),
        Template("missing", "Roll {s:pick billing|search|mailer} back."),
    ),
)

_TRANSIT: Final = App(
    "transit",
    f"You are a city's transport assistant. {_TODAY} It is 10:00.",
    (
        tool(
            "order_taxi",
            "Order a taxi.",
            pickup="street or place",
            destination="street or place",
            time=_TIME,
        ),
        tool(
            "next_departure",
            "When a line leaves a stop next.",
            line="such as 12 or U1",
            stop="name of the stop",
        ),
        tool(
            "buy_ticket",
            "Buy tickets.",
            kind=one_of("single", "day", "week"),
            passengers={**_WHOLE, "default": 1},
        ),
        tool(
            "ticket_price",
            "What tickets cost.",
            kind=one_of("single", "day", "week"),
            passengers={**_WHOLE, "default": 1},
        ),
        tool(
            "report_lost",
            "Report something lost on a line.",
            item="what",
            line="such as 12 or U1",
            date=_DAY,
        ),
    ),
    (
        Template(
            "call",
            "A taxi from {a:pick Central Station|the museum=museum|Harbour Street} to "
            "{b:pick the airport=airport|Mill Lane|the zoo=zoo} at {t:time}.",
            "order_taxi",
            {"pickup": "$a", "destination": "$b", "time": "$t"},
        ),
        Template(
            "call",
            "When does {l:pick line 4=4|line 17=17|line U2=U2|line S7=S7} go from "
            "{s:pick Park Road|City Hall}?",
            "next_departure",
            {"line": "$l", "stop": "$s"},
        ),
        Template(
            "call",
            "{n:count 2-12} tickets for the whole day.",
            "buy_ticket",
            {"kind": "day", "passengers": "$n"},
        ),
        Template(
            "tempting",
            "We may buy tickets for a week. What would they cost for {n:count 2-12} of us?",
            "ticket_price",
            {"kind": "week", "passengers": "$n"},
            "near-duplicate tools",
        ),
        Template(
            "tempting",
            "On 1 June I took line {l:pick U2|U5|S7} and my {x:pick umbrella|camera} stayed there.",
            "report_lost",
            {"item": "$x", "line": "$l", "date": "2026-06-01"},
        ),
        Template(
            "tempting",
            "No taxi for me, line {l:pick U2|U5|S7} will do. When does it leave {s:pick Park Road|City "
            "Hall}?",
            "next_departure",
            {"line": "$l", "stop": "$s"},
        ),
        Template("none", "Which is better for the climate, a taxi or a tram?"),
        Template("none", "I found my umbrella again, it was at home."),
        Template("none", "Say 'Where is the station?' in French."),
        Template("missing", "I need a taxi to {b:pick the airport|Mill Lane} at {t:time}."),
        Template("missing", "When does the next tram leave?"),
        Template("missing", "Buy me a ticket."),
        Template("none", "Is it polite to eat in a bus?"),
        Template("none", "We took a taxi in the end, thanks anyway."),
        Template("missing", "I have lost my {x:pick umbrella|camera}, report it."),
        Template("missing", "What does a ticket cost?"),
    ),
)

APPS: Final = (_RESTAURANT, _LIBRARY, _STAFF, _KITCHEN, _SERVERS, _TRANSIT)

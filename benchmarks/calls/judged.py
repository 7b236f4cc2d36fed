"""Agents whose tasks are judged. Nothing is ever fitted on them."""

from typing import Final

from benchmarks.calls.drawing import App, Template, one_of, tool

__all__ = ["APPS"]

_DAY: Final = "day, YYYY-MM-DD"
_TIME: Final = "time of day, HH:MM"
_NUMBER: Final = {"type": "number"}
_WHOLE: Final = {"type": "integer"}
_TODAY: Final = "Today is Tuesday, 2 June 2026."

_WEATHER: Final = App(
    "weather",
    f"You are a weather assistant. {_TODAY} Use the tools where they are needed. If something that "
    "a tool needs is not said, ask for it. Be brief.",
    (
        tool("current_weather", "The weather in a city right now.", city="name of the city"),
        tool("forecast", "The forecast for a city on a day to come.", city="city", date=_DAY),
        tool(
            "past_weather", "How the weather was in a city on a past day.", city="city", date=_DAY
        ),
        tool(
            "convert_temperature",
            "Convert a temperature.",
            value=_NUMBER,
            source=one_of("celsius", "fahrenheit"),
            target=one_of("celsius", "fahrenheit"),
        ),
    ),
    (
        Template(
            "call",
            "How is the weather in {c:city} at the moment?",
            "current_weather",
            {"city": "$c"},
        ),
        Template(
            "call",
            "I am in {x:city} now and travel to {c:city}. What will it be like there, {d:date}?",
            "forecast",
            {"city": "$c", "date": "$d"},
            "distractors",
        ),
        Template(
            "call",
            "My oven says {n:count 300-480} degrees Fahrenheit. What is that in Celsius?",
            "convert_temperature",
            {"value": "$n", "source": "fahrenheit", "target": "celsius"},
        ),
        Template(
            "tempting",
            "Right now I am packing for {c:city}. Will I need an umbrella there, {d:date}?",
            "forecast",
            {"city": "$c", "date": "$d"},
        ),
        Template(
            "tempting",
            "Was yesterday's forecast for {c:city} right? Look up how the weather really was.",
            "past_weather",
            {"city": "$c", "date": "2026-06-01"},
        ),
        Template(
            "tempting",
            "The forecast said {n:count 12-30} degrees Celsius. Tell my American friend what that is "
            "in his units.",
            "convert_temperature",
            {"value": "$n", "source": "celsius", "target": "fahrenheit"},
        ),
        Template("none", "Why is the sky blue? One sentence, please."),
        Template("none", "Thanks, that forecast for {c:city} was helpful!"),
        Template("none", "What does a weather forecast mean by relative humidity?"),
        Template("missing", "What will the weather be like, {d:date}?"),
        Template("missing", "How warm was it in {c:city} the other day?"),
        Template("missing", "How many degrees are that in Fahrenheit?"),
        Template("none", "I am glad that the sun shines in {c:city} today."),
        Template("none", "Is fog the same as mist?"),
        Template("missing", "Do I need a coat tomorrow?"),
        Template("missing", "Convert {n:count 12-90} degrees for me."),
    ),
)

_BANK: Final = App(
    "bank",
    f"You are the assistant of a bank's customers. {_TODAY} Never guess an amount, an account or a "
    "number: ask for what is missing.",
    (
        tool(
            "transfer_now",
            "Transfer money to an account at once.",
            account="account number of the recipient",
            amount=_NUMBER,
            currency=one_of("EUR", "USD", "GBP", "CHF", "JPY", default="EUR"),
        ),
        tool(
            "schedule_transfer",
            "Transfer money to an account on a later day.",
            account="account number of the recipient",
            amount=_NUMBER,
            date=_DAY,
            currency=one_of("EUR", "USD", "GBP", "CHF", "JPY", default="EUR"),
        ),
        tool("balance", "Balance of one of the customer's accounts.", account="account number"),
        tool(
            "exchange_rate",
            "How much an amount is in another currency.",
            amount=_NUMBER,
            source=one_of("EUR", "USD", "GBP", "CHF", "JPY"),
            target=one_of("EUR", "USD", "GBP", "CHF", "JPY"),
        ),
        tool("block_card", "Block a card for good.", card="card number"),
        tool("freeze_card", "Freeze a card until it is unfrozen.", card="card number"),
    ),
    (
        Template(
            "call",
            "Send {a:amount} {k:currency} to account {i:id AC} right away, please.",
            "transfer_now",
            {"account": "$i", "amount": "$a", "currency": "$k"},
        ),
        Template(
            "call",
            "Please transfer {a:amount} euros to {i:id AC}, not to {o:near i}, and do it {d:date}.",
            "schedule_transfer",
            {"account": "$i", "amount": "$a", "date": "$d"},
        ),
        Template(
            "call",
            "What is left in {i:id AC}? My other account, {o:near i}, does not matter.",
            "balance",
            {"account": "$i"},
        ),
        Template(
            "tempting",
            "I want to transfer {a:amount} pounds some day. What would that be in euros?",
            "exchange_rate",
            {"amount": "$a", "source": "GBP", "target": "EUR"},
        ),
        Template(
            "tempting",
            "Block {i:id CARD-} just for the weekend, I may find it again.",
            "freeze_card",
            {"card": "$i"},
            "near-duplicate tools",
        ),
        Template(
            "tempting",
            "Before I transfer {a:amount} euros to {o:id AC}: how much money is there in {i:near o}?",
            "balance",
            {"account": "$i"},
        ),
        Template("none", "What is the difference between a debit card and a credit card?"),
        Template("none", "What can you do for me?"),
        Template("none", "Great, the {a:amount} euros have arrived. Thank you and good night."),
        Template("missing", "Please send {a:amount} euros to my sister."),
        Template("missing", "Transfer some money to {i:id AC} now."),
        Template("missing", "I have lost my card. Block it at once!"),
        Template("none", "Why do banks ask for a PIN?"),
        Template("none", "I have just transferred {a:amount} euros myself, so never mind."),
        Template("missing", "How much is {a:amount} euros in another currency?"),
        Template("missing", "Freeze it for a few days, please."),
    ),
)

_CALENDAR: Final = App(
    "calendar",
    f"You manage the user's calendar with the tools you are given. {_TODAY}",
    (
        tool(
            "create_event",
            "Put a new event into the calendar.",
            title="short title",
            date=_DAY,
            start=_TIME,
            minutes={**_WHOLE, "description": "length", "default": 60},
        ),
        tool("move_event", "Move an event.", event="event id", date=_DAY, start=_TIME),
        tool("cancel_event", "Cancel an event.", event="event id"),
        tool("list_events", "Events of a day.", date=_DAY),
        tool("find_free_time", "Free time on a day.", date=_DAY, minutes=_WHOLE),
    ),
    (
        Template(
            "call",
            "Put 'Dentist' into my calendar for {d:date} at {t:time}, {m:duration} long.",
            "create_event",
            {"title": "Dentist", "date": "$d", "start": "$t", "minutes": "$m"},
        ),
        Template(
            "call",
            "Event {i:id EV-} has to go to {d:date} at {t:time}. Leave {o:near i} where it is.",
            "move_event",
            {"event": "$i", "date": "$d", "start": "$t"},
        ),
        Template("call", "What is on my calendar for {d:date}?", "list_events", {"date": "$d"}),
        Template(
            "tempting",
            "I would like to meet {p:person}, best {d:date}. When would I have {m:duration} for that?",
            "find_free_time",
            {"date": "$d", "minutes": "$m"},
        ),
        Template(
            "tempting",
            "Do not cancel {i:id EV-}: it only starts later, {d:date} at {t:time}.",
            "move_event",
            {"event": "$i", "date": "$d", "start": "$t"},
        ),
        Template(
            "tempting",
            "{p:person} cannot come, so there is nothing to move: drop {i:id EV-}.",
            "cancel_event",
            {"event": "$i"},
        ),
        Template("none", "How many minutes should a good stand-up meeting last?"),
        Template("none", "Write a friendly sentence that invites {p:person} to lunch."),
        Template("none", "Perfect, then my calendar is complete. See you tomorrow!"),
        Template("missing", "Cancel the meeting with {p:person}."),
        Template("missing", "Create an event 'Gym' for {d:date}."),
        Template("missing", "Move {i:id EV-} to another day."),
        Template("none", "Which day of the week is today?"),
        Template("none", "{p:person} and I have met already, it went well."),
        Template("missing", "Find me a free slot for a talk of {m:duration}."),
        Template("missing", "I no longer want to go to that event, remove it."),
    ),
)

_SHOP: Final = App(
    "shop",
    f"You work for an online shop's customer service. {_TODAY} Answer in one or two sentences. Call a "
    "function only if the customer has given all that it requires; otherwise ask.",
    (
        tool("track_order", "Where an order is.", order="order number"),
        tool(
            "cancel_order",
            "Cancel an order that has not been sent.",
            order="order number",
            reason=one_of("changed_mind", "too_late", "found_cheaper", "other", default="other"),
        ),
        tool(
            "return_item",
            "Send back an item of an order that has arrived.",
            order="order number",
            item="item number",
            quantity={**_WHOLE, "default": 1},
        ),
        tool(
            "exchange_item",
            "Exchange an item that has arrived for another size.",
            order="order number",
            item="item number",
            size=one_of("S", "M", "L", "XL"),
        ),
        tool("refund_status", "State of a refund.", refund="refund number"),
    ),
    (
        Template(
            "call",
            "Where is my order {i:id OR-}? My customer number is {x:id CU-}.",
            "track_order",
            {"order": "$i"},
            "distractors",
        ),
        Template(
            "call",
            "From order {i:id OR-} I send back {n:count 2-6} of item {s:id IT-}.",
            "return_item",
            {"order": "$i", "item": "$s", "quantity": "$n"},
        ),
        Template(
            "call",
            "Cancel {i:id OR-}, please. It comes too late for the birthday. Keep {o:near i}!",
            "cancel_order",
            {"order": "$i", "reason": "too_late"},
        ),
        Template(
            "tempting",
            "The shirt {s:id IT-} of order {i:id OR-} is too small. I do not want my money back, I "
            "want it in {z:pick L|XL}.",
            "exchange_item",
            {"order": "$i", "item": "$s", "size": "$z"},
        ),
        Template(
            "tempting",
            "I returned everything of order {o:id OR-} weeks ago. What about my money? The refund is "
            "{i:id RF-}.",
            "refund_status",
            {"refund": "$i"},
        ),
        Template(
            "tempting",
            "I think of cancelling {i:id OR-} if it takes longer. Where is it now?",
            "track_order",
            {"order": "$i"},
        ),
        Template("none", "Which is warmer, wool or cotton?"),
        Template("none", "My order {i:id OR-} came today and everything fits. Thank you!"),
        Template("none", "Are you a person or a program?"),
        Template("missing", "I would like to cancel my order."),
        Template("missing", "Item {s:id IT-} does not please me, I want to send it back."),
        Template(
            "missing", "Please exchange item {s:id IT-} of order {i:id OR-} for another size."
        ),
        Template("none", "The parcel {i:id OR-} has been found at my neighbour's. All is well."),
        Template("none", "How do I wash a woollen jumper?"),
        Template("missing", "Where is my parcel?"),
        Template("missing", "Has my refund been paid? I have waited since May."),
    ),
)

_HOME: Final = App(
    "home",
    f"You control a house. {_TODAY} Rooms and doors are those that the tools list.",
    (
        tool(
            "set_heating",
            "Set the temperature of a room.",
            room=one_of("kitchen", "bedroom", "living_room", "office"),
            celsius=_NUMBER,
        ),
        tool(
            "set_lights",
            "Set the lights of a room.",
            room=one_of("kitchen", "bedroom", "living_room", "office"),
            percent={"type": "integer", "minimum": 0, "maximum": 100},
        ),
        tool("lock_door", "Lock a door.", door=one_of("front", "garage", "garden")),
        tool("unlock_door", "Unlock a door.", door=one_of("front", "garage", "garden")),
        tool("start_timer", "Start a kitchen timer.", minutes=_WHOLE),
        tool(
            "room_temperature",
            "Measure how warm a room is.",
            room=one_of("kitchen", "bedroom", "living_room", "office"),
        ),
    ),
    (
        Template(
            "call",
            "Make it {n:count 18-24} degrees in {r:pick the kitchen=kitchen|the bedroom=bedroom|the "
            "living room=living_room}.",
            "set_heating",
            {"room": "$r", "celsius": "$n"},
        ),
        Template(
            "call",
            "Dim the lights in {r:pick the office=office|the living room=living_room} to a "
            "{n:pick quarter=25|third=33|half=50}.",
            "set_lights",
            {"room": "$r", "percent": "$n"},
            "units",
        ),
        Template(
            "call", "The pasta needs {m:duration}, start a timer.", "start_timer", {"minutes": "$m"}
        ),
        Template(
            "tempting",
            "I always lock {r:pick the garage=garage|the garden door=garden|the front door=front}, but "
            "{p:person} comes in {m:duration} and has no key. Open it.",
            "unlock_door",
            {"door": "$r"},
            "near-duplicate tools",
        ),
        Template(
            "tempting",
            "I set the heating of {r:pick the bedroom=bedroom|the office=office|the kitchen=kitchen} "
            "to {n:count 18-24}. Is it really that warm in there?",
            "room_temperature",
            {"room": "$r"},
        ),
        Template(
            "tempting",
            "It is warm enough, but too bright for {p:person} in {r:pick the kitchen=kitchen|the "
            "bedroom=bedroom}: everything off there.",
            "set_lights",
            {"room": "$r", "percent": 0},
        ),
        Template("none", "At what temperature does water boil on a high mountain, roughly?"),
        Template("none", "I have locked the front door myself, all is fine."),
        Template("none", "Tell me a joke about light bulbs."),
        Template("missing", "Set the heating to {n:count 18-24} degrees."),
        Template("missing", "Start a timer for the eggs."),
        Template("missing", "Lock the door, please."),
        Template("none", "Which uses more power, an oven or a fridge?"),
        Template("none", "The light in the office is on, and that is how I want it."),
        Template("missing", "Please unlock it for the postman."),
        Template("missing", "Turn the lights down a little in the bedroom."),
    ),
)

_TRAVEL: Final = App(
    "travel",
    f"You are a travel agent. {_TODAY} Airports are IATA codes. Ask the user whenever a required "
    "detail is missing. Do not make up values.",
    (
        tool(
            "search_flights",
            "Find flights and their prices.",
            origin="IATA code",
            destination="IATA code",
            date=_DAY,
            passengers={**_WHOLE, "default": 1},
        ),
        tool(
            "book_flight",
            "Book a flight. This costs money.",
            flight="flight number",
            date=_DAY,
            passengers={**_WHOLE, "default": 1},
        ),
        tool("flight_status", "Whether a flight is on time.", flight="flight number", date=_DAY),
        tool(
            "search_hotels",
            "Find hotels.",
            city="city",
            check_in=_DAY,
            nights=_WHOLE,
            guests={**_WHOLE, "default": 1},
        ),
    ),
    (
        Template(
            "call",
            "Which flights are there from {a:airport} to {b:pick Rome=FCO|Athens=ATH|Oslo=OSL}, "
            "{d:date}, for {n:count 2-5} people?",
            "search_flights",
            {"origin": "$a", "destination": "$b", "date": "$d", "passengers": "$n"},
            "codes",
        ),
        Template(
            "call",
            "Book {f:id LX} for me, {d:date}. Not {o:near f}, that one is too early.",
            "book_flight",
            {"flight": "$f", "date": "$d"},
        ),
        Template(
            "call",
            "I need a hotel in {c:city} from {d:date} for {n:count 2-6} nights, {g:count 2-4} of us.",
            "search_hotels",
            {"city": "$c", "check_in": "$d", "nights": "$n", "guests": "$g"},
        ),
        Template(
            "tempting",
            "I have booked flight {f:id OS} for {d:date}. Is it delayed?",
            "flight_status",
            {"flight": "$f", "date": "$d"},
        ),
        Template(
            "tempting",
            "I want to book something from {a:airport} to {b:pick Rome=FCO|Athens=ATH|Oslo=OSL} "
            "{d:date}. Show me first what it would cost.",
            "search_flights",
            {"origin": "$a", "destination": "$b", "date": "$d"},
        ),
        Template(
            "tempting",
            "The search said that {f:id SK} is the cheapest, {d:date}. We are {n:count 2-4}, get it.",
            "book_flight",
            {"flight": "$f", "date": "$d", "passengers": "$n"},
        ),
        Template("none", "Is {c:city} nice in summer? Just your opinion, in one sentence."),
        Template("none", "How many hours before a flight should one be at the airport?"),
        Template("none", "We are back from {c:city}. The hotel was wonderful, thanks."),
        Template("missing", "Find me a flight to {b:airport}, {d:date}."),
        Template("missing", "Book flight {f:id LX}."),
        Template("missing", "I need a hotel in {c:city} from {d:date}."),
        Template(
            "none",
            "What does one need to pack for {n:count 2-6} days at the sea? Three things only.",
        ),
        Template("none", "My flight {f:id LX} was on time, I am home."),
        Template("missing", "Is my flight on time?"),
        Template("missing", "Which flights go from {a:airport} to {b:pick Rome|Athens|Oslo}?"),
    ),
)

_STOCK: Final = App(
    "stock",
    "You run a warehouse's system for its staff. Quantities are in pieces, weights in grams. If a "
    "command is incomplete, ask back instead of guessing.",
    (
        tool("stock_level", "How many pieces there are.", sku="article number"),
        tool(
            "move_stock",
            "Move pieces within the warehouse.",
            sku="article number",
            quantity=_WHOLE,
            source="shelf",
            target="shelf",
        ),
        tool(
            "receive_stock",
            "Book pieces in that a supplier delivered.",
            sku="article number",
            quantity=_WHOLE,
        ),
        tool(
            "write_off",
            "Book broken or lost pieces out.",
            sku="article number",
            quantity=_WHOLE,
            reason=one_of("broken", "lost", "expired"),
        ),
        tool("reorder", "Order pieces from the supplier.", sku="article number", quantity=_WHOLE),
        tool("set_weight", "Change the weight of an article.", sku="article number", grams=_WHOLE),
    ),
    (
        Template(
            "call",
            "Move {n:count 3-40} pieces of {i:id SK-} from shelf {a:pick A4|B7|C2} to shelf "
            "{b:pick D1|E9|F3}.",
            "move_stock",
            {"sku": "$i", "quantity": "$n", "source": "$a", "target": "$b"},
        ),
        Template(
            "call",
            "One piece of {i:id SK-} weighs {g:grams}, correct that. {o:near i} is right.",
            "set_weight",
            {"sku": "$i", "grams": "$g"},
        ),
        Template(
            "call",
            "{n:count 2-11} pieces of {i:id SK-} fell off the lorry and are in bits.",
            "write_off",
            {"sku": "$i", "quantity": "$n", "reason": "broken"},
        ),
        Template(
            "tempting",
            "The {n:count 20-90} pieces of {i:id SK-} that we ordered are here, put them into the "
            "system.",
            "receive_stock",
            {"sku": "$i", "quantity": "$n"},
        ),
        Template(
            "tempting",
            "Somebody wants to move {n:count 20-90} pieces of {i:id SK-}. Do we have that many?",
            "stock_level",
            {"sku": "$i"},
        ),
        Template(
            "tempting",
            "{i:id SK-} is nearly gone, the stock level says {m:count 2-9}. Get {n:count 50-90} more "
            "from the supplier.",
            "reorder",
            {"sku": "$i", "quantity": "$n"},
            "distractors",
        ),
        Template("none", "What does FIFO mean in a warehouse?"),
        Template("none", "{i:id SK-} has been counted and moved already. Nothing to do for you."),
        Template("none", "If I have {n:count 3-9} boxes of 12 pieces, how many pieces is that?"),
        Template("missing", "Write off {n:count 2-11} pieces, they are broken."),
        Template("missing", "Reorder {i:id SK-}."),
        Template("missing", "Move {n:count 3-40} pieces of {i:id SK-} to shelf {b:pick D1|E9|F3}."),
        Template(
            "none",
            "The delivery of {i:id SK-} is on shelf {a:pick A4|B7|C2} and in the system, I have done "
            "it.",
        ),
        Template("none", "Why do we count stock once a year?"),
        Template("missing", "How many of them do we have left?"),
        Template("missing", "The weight of {i:id SK-} is wrong, change it."),
    ),
)

_TICKETS: Final = App(
    "tickets",
    f"You help a support team with its tickets. {_TODAY} Be concise.",
    (
        tool(
            "open_ticket",
            "Open a new ticket.",
            customer="customer number",
            priority=one_of("low", "normal", "high"),
            topic=one_of("billing", "login", "delivery"),
        ),
        tool(
            "assign_ticket",
            "Give a ticket to a colleague.",
            ticket="ticket number",
            person="first name",
        ),
        tool("close_ticket", "Close a ticket that is solved.", ticket="ticket number"),
        tool(
            "merge_tickets",
            "Make a ticket part of another one.",
            duplicate="ticket to end",
            original="ticket to keep",
        ),
        tool(
            "set_due_date",
            "Until when a ticket has to be solved.",
            ticket="ticket number",
            date=_DAY,
        ),
    ),
    (
        Template(
            "call",
            "{p:person} should take over {i:id T-} from {x:pick Ruth|Omar|Wei}.",
            "assign_ticket",
            {"ticket": "$i", "person": "$p"},
            "distractors",
        ),
        Template(
            "call",
            "Customer {i:id C-} cannot log in and is furious, this is urgent. Make a ticket.",
            "open_ticket",
            {"customer": "$i", "priority": "high", "topic": "login"},
        ),
        Template(
            "call",
            "{i:id T-} has time until {d:date}, {o:near i} stays as it is.",
            "set_due_date",
            {"ticket": "$i", "date": "$d"},
        ),
        Template(
            "tempting",
            "We can close {i:id T-}, it is the same problem as {k:near i}: go on with that one only "
            "and join them.",
            "merge_tickets",
            {"duplicate": "$i", "original": "$k"},
            "near-duplicate tools",
        ),
        Template(
            "tempting",
            "{p:person}, whom we gave {i:id T-}, says that it has been solved. We are done with it.",
            "close_ticket",
            {"ticket": "$i"},
        ),
        Template(
            "tempting",
            "{i:id T-} was closed too early by {x:pick Ruth|Omar|Wei}. It is open again, and now "
            "{p:person} has to look at it.",
            "assign_ticket",
            {"ticket": "$i", "person": "$p"},
        ),
        Template("none", "What is a good first sentence for an apology to a customer?"),
        Template("none", "{p:person} has just closed {i:id T-} and told the customer. Well done!"),
        Template("none", "What is the difference between priority and severity?"),
        Template("missing", "Assign the ticket to {p:person}."),
        Template("missing", "Customer {i:id C-} is angry about the delivery, open a ticket."),
        Template("missing", "Ticket {i:id T-} is a duplicate, merge it."),
        Template("none", "How would you tell a customer politely to wait?"),
        Template("none", "{i:id T-} was a hard one, but {p:person} solved it."),
        Template("missing", "Close the ticket of the customer who called this morning."),
        Template("missing", "{i:id T-} needs a due date."),
    ),
)

APPS: Final = (_WEATHER, _BANK, _CALENDAR, _SHOP, _HOME, _TRAVEL, _STOCK, _TICKETS)

"""Words, phrases and sentences of thirty languages, of fifteen scripts."""

from __future__ import annotations

# language: words, phrases, sentences; parted by a bar
_LINES = {
    "English": (
        "window|museum|butterfly|to remember|bread",
        "red bicycle|night train|fresh orange juice|old stone bridge",
        "The museum opens at nine on Sunday.|She forgot her umbrella on the train.|Nobody knows why the river is so low.",
    ),
    "German": (
        "Fenster|Museum|Schmetterling|Brot|Krankenversicherung",
        "rotes Fahrrad|alte Brücke|frischer Orangensaft|koronare Herzkrankheit",
        "Das Museum öffnet sonntags um neun Uhr.|Sie hat ihren Schirm im Zug vergessen.|Niemand weiß, warum der Fluss so "
        "wenig Wasser führt.",
    ),
    "French": (
        "fenêtre|musée|papillon|pain|se souvenir",
        "vélo rouge|train de nuit|vieux pont|jus d'orange frais",
        "Le musée ouvre à neuf heures le dimanche.|Elle a oublié son parapluie dans le train.|Personne ne sait pourquoi la "
        "rivière est si basse.",
    ),
    "Spanish": (
        "ventana|museo|mariposa|pan|recordar",
        "bicicleta roja|tren nocturno|puente viejo|zumo de naranja",
        "El museo abre los domingos a las nueve.|Ella olvidó el paraguas en el tren.|Nadie sabe por qué el río baja tan seco.",
    ),
    "Italian": (
        "finestra|museo|farfalla|pane|ricordare",
        "bicicletta rossa|treno notturno|vecchio ponte|succo d'arancia",
        "Il museo apre alle nove di domenica.|Ha dimenticato l'ombrello in treno.|Nessuno sa perché il fiume sia così basso.",
    ),
    "Portuguese": (
        "janela|museu|borboleta|pão|lembrar",
        "bicicleta vermelha|trem noturno|ponte velha|suco de laranja",
        "O museu abre às nove no domingo.|Ela esqueceu o guarda-chuva no trem.|Ninguém sabe por que o rio está tão baixo.",
    ),
    "Dutch": (
        "raam|museum|vlinder|brood|onthouden",
        "rode fiets|oude brug|vers sinaasappelsap|zilveren lepel",
        "Het museum gaat zondag om negen uur open.|Ze vergat haar paraplu in de trein.|Niemand weet waarom de rivier zo laag "
        "staat.",
    ),
    "Polish": (
        "okno|muzeum|motyl|chleb|pamiętać",
        "czerwony rower|nocny pociąg|stary most|sok pomarańczowy",
        "Muzeum jest otwarte w niedzielę od dziewiątej.|Zapomniała parasola w pociągu.|Nikt nie wie, dlaczego rzeka jest tak "
        "płytka.",
    ),
    "Czech": (
        "okno|muzeum|motýl|chléb|vzpomínat",
        "červené kolo|noční vlak|starý most|pomerančový džus",
        "Muzeum se v neděli otevírá v devět hodin.|Zapomněla si deštník ve vlaku.|Nikdo neví, proč je v řece tak málo vody.",
    ),
    "Russian": (
        "окно|музей|бабочка|хлеб|вспоминать",
        "красный велосипед|ночной поезд|старый мост|апельсиновый сок",
        "Музей открывается в воскресенье в девять часов.|Она забыла зонтик в поезде.|Никто не знает, почему река так обмелела.",
    ),
    "Ukrainian": (
        "вікно|музей|метелик|хліб|згадувати",
        "червоний велосипед|нічний потяг|старий міст|апельсиновий сік",
        "Музей відкривається в неділю о дев'ятій годині.|Вона забула парасольку в потязі.|Ніхто не знає, чому річка така мілка.",
    ),
    "Greek": (
        "παράθυρο|μουσείο|πεταλούδα|ψωμί|θυμάμαι",
        "κόκκινο ποδήλατο|νυχτερινό τρένο|παλιά γέφυρα|χυμός πορτοκαλιού",
        "Το μουσείο ανοίγει στις εννέα την Κυριακή.|Ξέχασε την ομπρέλα της στο τρένο.|Κανείς δεν ξέρει γιατί το ποτάμι είναι "
        "τόσο χαμηλό.",
    ),
    "Turkish": (
        "pencere|müze|kelebek|ekmek|hatırlamak",
        "kırmızı bisiklet|gece treni|eski köprü|portakal suyu",
        "Müze pazar günü saat dokuzda açılıyor.|Şemsiyesini trende unuttu.|Nehrin neden bu kadar alçak olduğunu kimse bilmiyor.",
    ),
    "Finnish": (
        "ikkuna|museo|perhonen|leipä|muistaa",
        "punainen polkupyörä|yöjuna|vanha silta|tuore appelsiinimehu",
        "Museo avautuu sunnuntaisin yhdeksältä.|Hän unohti sateenvarjonsa junaan.|Kukaan ei tiedä, miksi joki on niin matala.",
    ),
    "Hungarian": (
        "ablak|múzeum|pillangó|kenyér|emlékezni",
        "piros bicikli|éjszakai vonat|régi híd|friss narancslé",
        "A múzeum vasárnap kilenckor nyit.|Az esernyőjét a vonaton felejtette.|Senki sem tudja, miért olyan alacsony a folyó.",
    ),
    "Arabic": (
        "نافذة|متحف|فراشة|خبز|يتذكر",
        "دراجة حمراء|قطار الليل|جسر قديم|عصير برتقال طازج",
        "يفتح المتحف أبوابه في الساعة التاسعة يوم الأحد.|نسيت مظلتها في القطار.|لا أحد يعرف لماذا انخفض ماء النهر.",
    ),
    "Persian": (
        "پنجره|موزه|پروانه|نان|فراموشی",
        "دوچرخه قرمز|قطار شب|پل قدیمی|آب پرتقال تازه",
        "موزه روز یکشنبه ساعت نه باز می‌شود.|او چترش را در قطار جا گذاشت.|هیچ‌کس نمی‌داند چرا آب رودخانه کم است.",
    ),
    "Hebrew": (
        "חלון|מוזיאון|פרפר|לחם|לזכור",
        "אופניים אדומים|רכבת לילה|גשר ישן|מיץ תפוזים טרי",
        "המוזיאון נפתח ביום ראשון בתשע.|היא שכחה את המטרייה ברכבת.|איש אינו יודע מדוע הנהר כה נמוך.",
    ),
    "Hindi": (
        "खिड़की|संग्रहालय|तितली|रोटी|याद",
        "लाल साइकिल|रात की रेलगाड़ी|पुराना पुल|संतरे का रस",
        "संग्रहालय रविवार को नौ बजे खुलता है।|वह अपना छाता रेलगाड़ी में भूल गई।|कोई नहीं जानता कि नदी में पानी इतना कम क्यों है।",
    ),
    "Bengali": (
        "জানালা|জাদুঘর|প্রজাপতি|রুটি|স্মরণ",
        "লাল সাইকেল|রাতের ট্রেন|পুরানো সেতু|কমলার রস",
        "জাদুঘর রবিবার সকাল নয়টায় খোলে।|সে ট্রেনে ছাতা ফেলে এসেছে।|নদীতে এত কম জল কেন কেউ জানে না।",
    ),
    "Tamil": (
        "ஜன்னல்|அருங்காட்சியகம்|பட்டாம்பூச்சி|ரொட்டி|நினைவு",
        "சிவப்பு மிதிவண்டி|இரவு ரயில்|பழைய பாலம்|ஆரஞ்சு சாறு",
        "அருங்காட்சியகம் ஞாயிற்றுக்கிழமை ஒன்பது மணிக்குத் திறக்கும்.|அவள் குடையை ரயிலில் மறந்துவிட்டாள்.|ஆற்றில் ஏன் தண்ணீர் குறைவாக இருக்கிறது "
        "என்று யாருக்கும் தெரியாது.",
    ),
    "Thai": (
        "หน้าต่าง|พิพิธภัณฑ์|ผีเสื้อ|ขนมปัง|จดจำ",
        "จักรยานสีแดง|รถไฟกลางคืน|สะพานเก่า|น้ำส้มคั้น",
        "พิพิธภัณฑ์เปิดเวลาเก้านาฬิกาในวันอาทิตย์|เธอลืมร่มของเธอไว้บนรถไฟ|ไม่มีใครรู้ว่าทำไมน้ำในแม่น้ำจึงน้อยเช่นนี้",
    ),
    "Lao": (
        "ປ່ອງຢ້ຽມ|ພິພິທະພັນ|ແມງກະເບື້ອ|ເຂົ້າຈີ່|ຈື່",
        "ລົດຖີບສີແດງ|ລົດໄຟກາງຄືນ|ຂົວເກົ່າ|ນ້ຳໝາກກ້ຽງ",
        "ພິພິທະພັນເປີດເວລາເກົ້າໂມງໃນວັນອາທິດ|ລາວລືມຄັນຮົ່ມຂອງລາວໄວ້ໃນລົດໄຟ|ບໍ່ມີໃຜຮູ້ວ່າເປັນຫຍັງນ້ຳໃນແມ່ນ້ຳຈຶ່ງໜ້ອຍ",
    ),
    "Khmer": (
        "បង្អួច|សារមន្ទីរ|មេអំបៅ|នំប៉័ង|ចងចាំ",
        "កង់ពណ៌ក្រហម|រថភ្លើងយប់|ស្ពានចាស់|ទឹកក្រូច",
        "សារមន្ទីរបើកនៅម៉ោងប្រាំបួននៅថ្ងៃអាទិត្យ។|នាងភ្លេចឆ័ត្ររបស់នាងនៅលើរថភ្លើង។|គ្មាននរណាដឹងថាហេតុអ្វីទឹកទន្លេទាបដូច្នេះទេ។",
    ),
    "Burmese": (
        "ပြတင်းပေါက်|ပြတိုက်|လိပ်ပြာ|ပေါင်မုန့်|သတိရ",
        "စက်ဘီးအနီ|ညရထား|တံတားဟောင်း|လိမ္မော်ရည်",
        "ပြတိုက်ကို တနင်္ဂနွေနေ့ နံနက်ကိုးနာရီမှာ ဖွင့်သည်။|သူမသည် ထီးကို ရထားပေါ်တွင် မေ့ကျန်ခဲ့သည်။|မြစ်ရေ ဘာကြောင့် နည်းနေသည်ကို မည်သူမျှ မသိပါ။",
    ),
    "Tibetan": (
        "སྒེའུ་ཁུང་|འགྲེམས་སྟོན་ཁང་|ཕྱེ་མ་ལེབ་|བག་ལེབ་|དྲན་པ་",
        "རྐང་འཁོར་དམར་པོ་|མཚན་མོའི་མེ་འཁོར་|ཟམ་པ་རྙིང་པ་|ཚ་ལུ་མའི་ཁུ་བ་",
        "འགྲེམས་སྟོན་ཁང་གཟའ་ཉི་མའི་ཆུ་ཚོད་དགུ་པར་སྒོ་འབྱེད་ཀྱི་རེད།|མོས་མོའི་གདུགས་མེ་འཁོར་ནང་དུ་བརྗེད་སོང་།|གཙང་པོའི་ཆུ་ཅིའི་ཕྱིར་ཉུང་ཉུང་ཡིན་པ་སུས་ཀྱང་ཤེས་ཀྱི་མ་རེད།",
    ),
    "Chinese": (
        "窗户|博物馆|蝴蝶|面包|记得",
        "红色自行车|夜间列车|古老的桥|新鲜橙汁",
        "博物馆星期天早上九点开门。|她把雨伞忘在火车上了。|没有人知道河水为什么这么浅。",
    ),
    "Japanese": (
        "窓|博物館|ちょうちょ|パン|思い出す",
        "赤い自転車|夜行列車|古い石橋|オレンジジュース",
        "博物館は日曜日の九時に開きます。|彼女は電車に傘を忘れてしまった。|川の水がなぜこんなに少ないのか誰も知らない。",
    ),
    "Korean": (
        "창문|박물관|나비|빵|기억하다",
        "빨간 자전거|야간 열차|오래된 다리|신선한 오렌지 주스",
        "박물관은 일요일 아홉 시에 문을 연다.|그녀는 기차에 우산을 두고 내렸다.|강물이 왜 이렇게 얕은지 아무도 모른다.",
    ),
    "Vietnamese": (
        "cửa sổ|bảo tàng|bươm bướm|bánh mì|ghi nhớ",
        "xe đạp màu đỏ|chuyến tàu đêm|cây cầu cổ|nước cam tươi",
        "Bảo tàng mở cửa lúc chín giờ sáng chủ nhật.|Cô ấy để quên chiếc ô trên tàu hỏa.|Không ai biết vì sao nước sông lại cạn "
        "như vậy.",
    ),
}

KINDS = ("words", "phrases", "sentences", "paragraphs")
LANGUAGES = tuple(_LINES)


def texts(language: str, kind: str) -> list[str]:
    """Return strings of a language: words, phrases or sentences, or paragraphs of three sentences."""
    words, phrases, sentences = (lines.split("|") for lines in _LINES[language])
    if kind == "paragraphs":
        return [" ".join(sentences[i:] + sentences[:i]) for i in range(3)]
    return {"words": words, "phrases": phrases, "sentences": sentences}[kind]

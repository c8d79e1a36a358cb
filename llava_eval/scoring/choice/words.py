# ruff: noqa: E501, RUF001
"""Words with which models state an option, by what they do, in the languages they answer most in.

A language is added by its words for answer, option, is, right, wrong and not. A word stands once:
where it does two things, the patterns of :mod:`llava_eval.scoring.choice.mention` allow both.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a token is or does, as the character that stands for it in patterns over rows of kinds."""

    LABEL = "L"  # an option's letter
    WEAK_LABEL = "l"  # one that nothing but a phrase makes an option's: "the answer is b"
    TEXT = "T"  # an option's text
    WORD = "x"  # any word of no other kind
    NOTHING = ""  # a mark that says nothing
    ANSWER = "a"  # names what is asked for
    OPTION = "o"  # stands before or after a letter as its noun
    OPTIONS = "O"  # names several of them, which nobody answers with
    LETTER = "k"  # an option's noun that other letters have too: "the letter B on his shirt"
    IS = "i"  # joins a phrase and a letter
    VERB = "v"  # carries what is said of a letter before it
    FITS = "F"  # says that what was shown is what an option says
    SHOWN = "W"  # names what was shown, which is no option
    PERSON = "3"  # somebody in the video, whose choices are not the model's
    PRONOUN = "4"  # the same, and begins the reason after a letter: "C he polishes it"
    SAYS = "Z"  # introduces what an option or a person says
    ORDINAL = "1"  # counts the options
    ARTICLE = "t"  # fills, but a letter after it alone is a name: "a D"
    FILL = "f"  # may stand between any of these and the letter
    RIGHT = "r"  # said of a letter before or after it
    WRONG = "w"  # said of a letter before or after it
    POSSIBLE = "m"  # said of a letter that is not given as the answer
    NOT = "n"  # denies what follows, or a letter before it
    UNLIKE = "u"  # stands before what is no answer
    EXCEPT = "e"  # the same, and before the answer where the others are denied
    CHOOSE = "c"  # stands before the letter that somebody chooses or ends with
    THINK = "q"  # stands before or after that letter
    CHOSEN = "z"  # follows that letter
    POINTS = "p"  # stands before a letter at a sentence's end, where names of things do not
    IN = "I"  # stands before where something is
    SO = "S"  # begins a sentence or clause, before the letter that follows from it
    IT = "s"  # the same, and may also begin a condition's consequence
    YES = "Y"  # begins a sentence or clause, likewise
    BUT = "b"  # the same, and ends what was supposed before it
    AND = "j"  # joins letters to one group
    BECAUSE = "g"  # goes on after a stated letter
    ALTHOUGH = "y"  # grants what its clause says, and goes on with something else
    IF = "h"  # makes what follows no statement; nobody says that it is so
    DISCUSS = "d"  # begins to go through the options
    TICK = "V"
    CROSS = "X"
    NEW_LINE = "N"
    ARROW = ">"


_WORDS: Final[dict[Kind, str]] = {
    Kind.ANSWER: """mine, wahl, my bet, bet, answer, answers, ans, theanswer, anwser, asnwer, awnser, answr, ansewr, response, solution, conclusion, final choice,
    final option, correct choice, correct option, right choice, right option, best choice, best option, correct one, right one, my
    choice, my pick, my guess, my selection, correct letter, prediction, vote, guess, pick, decision, verdict, selection, key answer,
    correct statement, correct description, my vote, result, best answer, only one, only choice, my top choice, only answer, only
    possibility, antwort, lösung, réponse, bonne réponse, respuesta, solución, resposta, gabarito, risposta, soluzione,
    antwoord, odpowiedź, odpověď, odpoveď, ответ, ответа, ответом, відповідь, cevap, cevabı, cevabım, yanıt, yanıtı, yanıtım, đáp án,
    câu trả lời, jawaban, jawabannya, svar, svaret, vastaus, răspuns, răspunsul, válasz, a válasz, απάντηση, 答案, 正解, 正答, 答え, 回答, 解答,
    正确选项, 正確選項, 答, 正しいの, 正しいもの, 정답, 답변, 답, คำตอบ, उत्तर, जवाब, উত্তর, الإجابة, الاجابة, إجابة, الجواب, جواب, پاسخ, התשובה, תשובה,
    إجابتي, doğru cevap, doğru seçenek, doğru cevaptır, sagot, ang sagot, ang tamang sagot, vastus, odgovor, atsakymas, atbilde, պատասխան, ճիշտ պատասխանը, svarið,
    отговор, отговорът, одговор, одговорот, përgjigjja, jawapan, jawapannya, જવાબ, ਜਵਾਬ, जवाफ, பதில், விடை, సమాధానం, ഉത്തരം, ಉತ್ತರ, პასუხი, პასუხია,
    atbilde ir, resposta és, resposta correcta és, jibu, jibu ni, jibu sahihi ni, javob, жауап, жауабы, жооп, хариулт, cavab, ځواب,
    wangsulan, jawabanana, jawaabta, amsa, amsar, адказ, පිළිතුර, ຄຳຕອບ, ຄໍາຕອບ, ຄໍາຕອບທີ່, ຄຳຕອບທີ່, ចម្លើយ, အဖြေ, መልስ, መልሱ, erantzun, erantzuna,
    ateb, yr ateb, ଉତ୍ତର, উত্তৰ, উত্তরটি, tweġiba, tweġiba hija, tajba hija, korretta hija""",
    Kind.OPTIONS: """options, choices, alternatives, statements, optionen, antworten, opciones, opções, alternativas""",
    Kind.OPTION: """description, option, opt, choice, alternative, statement, candidate, möglichkeit, auswahl, variante, choix, proposition, opción, opcion,
    inciso, opção, opcao, alternativa, opzione, scelta, optie, opcja, opcji, вариант, варианта, вариантом, варіант, seçenek, seçeneği,
    şık, şıkkı, lựa chọn, phương án, pilihan, opsi, 选项, 選項, 選択肢, 項, 项, 번, 선택지, 보기, 옵션, ข้อ, ตัวเลือก, विकल्प, الخيار, خيار, گزینه,
    item, seçeneğidir, şıkkıdır, možnost, opcija, ang opsyon, opsyon, alternativ, alternativet, vaihtoehto, variantıdır""",
    Kind.LETTER: """labeled, labelled, letter, label, buchstabe, lettre, letra, lettera, буква, الحرف, 字母""",
    Kind.IS: """is, are, be, was, would be, should be, must be, has to be, have to be, will be, has got to be, got to be, gotta be, might be, may
    be, could be, would have to be, ought to be, can be, can only be, appears to be, seems to be, remains, equals, 's, 're, ist, está,
    estão, lautet, wäre, muss, sein, est, serait, doit être, sería, seria, debe ser, é, è, sia, sea, seja, soit, sarebbe, deve ser,
    jest, je, это, є, là, adalah, ialah, är, er, on, este, είναι, 是, 为, 為, 应为, 应该是, 應該是, 应是, 就是, は, では, じゃ, で, が, 은, 는, 이, 가, คือ, है,
    هي, هو, היא, হলো, হল, est la, es la, to be, is that, being, ay, ay ang, je to, yra, е, је, është, ہے, आहे, છે, ਹੈ, हो, ആണ്, է, бол, دی,
    yaiku, nyaéta, ita ce, waa, වේ, ແມ່ນ, គឺ, မှာ, ဖြစ်သည်, ነው, yw, ଅଟେ""",
    Kind.VERB: """seems, seem, sounds, looks, look, appears, appear, all, both, can, could, been, does, do, did, has, have, had, will, would,
    should, makes, gets, remain, stays, 的, の, つ, 可以, 被, について, kann, peut, puede, pode""",
    Kind.FITS: """occurs, takes place, fits, fit, matches, match, matching, matched by, describes, described, described by, captures, captured by, depicts, depicted,
    shown, seen, visible, happening, happened, happens, observed, left, stated, supported, confirmed, verified, consistent,
    consistent with, corresponds to, correspond to, corresponding to, aligns with, align with, applies, holds, wins, the case, 选中, 符合,
    匹配, 对应, 對應, 描述, 反映""",
    Kind.SHOWN: """demonstrates, displays, portrays, illustrates, shows, thing, emotion, reason, cause, sequence, order, purpose, what, video, clip,
    footage, scene, frames, frame, action, actions, event,
    events, image, picture, activity, what happens, what happened, what is happening, what's happening, what i see, what we see, what
    is shown, what the video shows, 视频, 内容, 视频内容, 画面""",
    Kind.PERSON: """user, users, model, man, woman, boy, girl, child, person, student, teacher, host, player, narrator, speaker, presenter, contestant""",
    Kind.PRONOUN: """someone, somebody, he, she, they""",
    Kind.SAYS: """says, said, claims, mentions, lists, asks, tells, writes, reads""",
    Kind.ORDINAL: """next, other, shortest, longest, shorter, longer, missing, first, second, third, fourth, fifth, last, 1st, 2nd, 3rd, 4th""",
    Kind.ARTICLE: """a, an""",
    Kind.FILL: """meiner meinung nach, without a doubt, without doubt, beyond doubt, sin duda, secondo me, скорее всего, obviously, sagen, the, um,
    uh, hm, hmm, erm, oh, ah, prolly, nothing but, none but, nothing else than,
    prob, probs, def, obv, please, clear, obvious, gonna, my, our, your, likely, most, very, probably, definitely, clearly, certainly,
    surely, simply, just, indeed, actually, only, really, almost, still, final, given by, represented by, as follows, here, with,
    under, following, not only, with high confidence, high confidence, confidently, maybe, perhaps, possibly, die, der, das, den,
    wohl, eindeutig, klar, la, le, l', sûrement, clairement, bonne, el, los, claramente, o, os, il, lo, una, de, het, juiste,
    prawidłowa, тогда, yang, η, το, ο, 我认为, 我認為, 应该, 應該, 应当, 很可能, 可能, 最有可能, 显然, 只有, 바로, to, you, up, itself, se""",
    Kind.RIGHT: """proper, appropriate, spot on, fitting, apt, valid, legit, the way to go, the winner, best bet, safest bet, right one here,
    reasonable, most reasonable, about right, obvious choice, logical choice, natural choice, clear choice, correct, right, true, only possible, only plausible,
    only valid, only logical, accurate, nearest, suitable, most suitable, logical, closest, best, better, more accurate, more likely,
    more plausible, more fitting, most accurate, most likely, most appropriate, most plausible, most fitting, richtig, richtige,
    richtigen, korrekt, korrekte, zutreffend, trifft zu, stimmt, juste, exact, exacte, correcte, correcto, correcta, verdadero,
    verdadera, adecuada, certo, certa, correto, correta, corretto, corretta, giusto, giusta, esatto, esatta, juist, goed, poprawna,
    správná, правильный, правильная, правильно, верный, верно, верен, верна, правильним, doğru, doğrudur, đúng, chính xác, benar,
    tepat, rätt, rätta, rigtig, rigtige, riktig, riktige, oikea, oikein, corect, corectă, helyes, σωστή, 正确, 正确的, 正確, 对, 对的, 對的, 最符合,
    最合适, 最佳, 正しい, 正しく, 適切, 最も適切, 맞, 옳, ถูกต้อง, सही, صحيح, صحیح, صحيحة, الصحيح, الصحيحة, درست, נכונה, sense, tamang, tama, õige, točan, točna, tačan,
    tačna, ispravan, ispravna, pravilen, pravilna, teisingas, teisinga, rétt, правилният, правилен, точен, тачан, saktë, pareizā, योग्य, સાચો, ਸਹੀ,
    சரியான, సరైన, ശരിയായ, ಸರಿಯಾದ, სწორი, дұрыс, туура, зөв, düzgün, bener, leres, saxda, saxda ahi, daidai, правільны, නිවැරදි, ຖືກຕ້ອງ,
    ត្រឹមត្រូវ, မှန်, ትክክለኛው, ትክክል, zuzena, cywir, ସଠିକ, শুদ্ধ, সঠিক""",
    Kind.WRONG: """wrong, 排除, incorrect, worse, worse than, false, inaccurate, untrue, invalid, implausible, impossible, unlikely, least likely,
    least, worst, opposite of, irrelevant, eliminated, excluded, ruled out, out, rejected, dismissed, mistaken, contradicted, refuted,
    disproved, absent, unsupported, inconsistent, less likely, less plausible, less accurate, less fitting, contradict,
    contradicts, disprove, disproves, refute, refutes, skip, cross out, falsch, unzutreffend, scheidet aus, scheiden aus,
    ausgeschlossen, faux, fausse, fausses, incorrecte, incorrectes, incorrecta, incorrecto, incorrectas, incorrectos, incorreta,
    incorreto, incorretas, falsa, falso, falsas, falsos, erróneo, errónea, errado, errada, erradas, descartado, descartada, sbagliato,
    sbagliata, errato, errata, onjuist, fout, błędna, nieprawidłowa, špatná, неверный, неверна, неверно, неверен, неправильный,
    неправильно, неправильна, yanlış, yanlıştır, sai, salah, fel, forkert, feil, väärin, greșit, greșită, helytelen, λάθος, 错误, 錯誤, 错,
    錯, 誤り, 間違い, 間違って, 不正解, 誤って, 違います, 틀, 오답, ผิด, गलत, خطأ, خاطئ, خاطئة, غير صحيح, غير صحيحة, نادرست, қате, буруу, səhv, няправільны,
    වැරදි, ຜິດ, ខុស, မှား, ስህተት, okerra, anghywir, ଭୁଲ, ভুল""",
    Kind.NOT: """not, nothing, nobody, nowhere, refuse to, hesitate to, isnt, doesnt, cannot, never, neither, nor, no way, far from, hardly, none
    of, nicht, kein, keine, weder, noch, pas, n'est, ni, no, não, nem, non, né, nie, niet, geen, не, нет, değil, không, không phải,
    chẳng, bukan, tidak, inte, ikke, ej, ei, nu, δεν, όχι, 不, 没, 沒, 非, 未, ない, ません, ありません, 아니, 아닙, 않, ไม่, ไม่ใช่, नहीं, ليس, ليست, لا,
    نیست, לא, fails, fail, lacks, ekki, nuk, नाही, નથી, ਨਹੀਂ, அல்ல, కాదు, അല്ല, ಅಲ್ಲ, نہیں, होइन, არ, չէ, nav, sio, siyo,
    emas, емес, биш, deyil, නොවේ, ບໍ່, មិន, មិនមែន, မဟုတ်, አይደለም, ez da, ନୁହେଁ, নয়, নহয়""",
    Kind.UNLIKE: """rather than, ahead of, compared to, compared with, in contrast to, instead of, as opposed to, unlike, than, rule out, rules out, ruling out,
    eliminate, eliminates, eliminating,
    exclude, excludes, rejecting, reject, discard, contrary to, doubt, doubt that, statt, anstatt, anstelle von, plutôt que, au lieu
    de, en lugar de, en vez de, descarto, ao invés de, em vez de, invece di, piuttosto che, in plaats van, zamiast, вместо, исключаем,
    yerine, thay vì, loại, alih-alih, i stället för, 而不是, 而非, 并非, 不是, 不选, 不選""",
    Kind.EXCEPT: """anything but, all but, everything but, except, except for, excluding, other than, besides, aside from, apart from, außer, sauf,
    excepté, excepto, exceto, tranne, behalve, oprócz, кроме, dışında, ngoại trừ, kecuali, 除了, 除外, anything other than, everything
    except, all except""",
    Kind.CHOOSE: """i'd go for, id go for, i'd go with, id go with, ill go for, feel like, feels like, voting for, sticking with, stick with, rolling
    with, roll with, settling on, landed on, land on, comes down to, boils down to, narrowed it down to, end up with, ended up with, arrive at, my
    vote goes to, vote goes to, i'll take, i take, ill go with, gonna go, confirms it is, backs up, speaks for,
    choisirais, اختار, voting, id go, i'd go, i'm thinking, im thinking, points towards, point towards, dirais, my money is on, money
    on, my bet is on, bet on, betting on, lock in, locking in, confident in, leaning, choose, chose, chosen, choosing, picked,
    picking, select, selected, selecting, suggest, suggests, support, supports, indicate, indicates, confirm, confirms, implies,
    imply, get, we have, go for, goes for, going for, presume, suspect, guessing, go with, goes with, going with, went with, opt for,
    opting for, vote for, settle on, settle for, return, looking for, say, believe, think, answer with, respond with, reply with,
    conclude, conclude that, inclined to say, lean towards, lean toward, leaning towards, leaning toward, points to, point to, looks
    like, look like, seems like, sounds like, prefer, favor, favour, leaves, leaves only, leaving, leaving only, leaves us with,
    leaving us with, left with, mark, i'd, submit, wähle, entscheide mich für, nehme, glaube, denke, choisis, opte pour, il s'agit de,
    подходит, больше подходит, elijo, escojo, selecciono, würde, creo que, escolho, acho que, scelgo, direi, diría, diría que, diria,
    credo che, kies, wybieram, vyberu, vybírám, volím, выбираю, думаю, обираю, seçiyorum, chọn, tôi chọn, memilih, pilih, saya memilih, väljer,
    vælger, velger, valitsen, aleg, 选择, 選擇, 选, 選, 认为, 觉得, 认为是, 觉得是, เลือก, ตอบ, أختار, اختر""",
    Kind.THINK: """i would have to say, i'd have to say, i have to say, i bet, i'm pretty sure, im pretty sure, i'm sure, im sure, pretty sure, i
    reckon, i think, i guess, i believe, i suppose, i
    assume, i'd say, i would say""",
    Kind.CHOSEN: """だ, だよ, 다, duh, obvs, easy peasy, i swear, for real, my friend, bruh, fs, ofc, no contest, lmao, haha, all good, 'em,
    라고 생각합니다, 라고 생각, lol, of course, all day, all the way, bro, ig, imo, imho, tbh, fr, dude, mate, no cap, hands down, no doubt, no question, を選, を選び,
    を選択, を答, だと思, だと考え, です, でしょう, になります, 입니다, 이다, 이에요, 예요, wählen, nehmen, 를 선택, 을 선택, 을 고르, for sure, 'dir, 'dır, 'dur, 'tir, 'tır,
    است""",
    Kind.POINTS: """means, meaning, doing, me, us, me to, us to, namely""",
    Kind.IN: """in, at, into""",
    Kind.SO: """so, ergo, thus, hence, therefore, consequently, accordingly, finally, overall, in conclusion, to conclude, in summary, daher,
    deshalb, somit, folglich, donc, ainsi, par conséquent, por lo tanto, por tanto, entonces, así que, portanto, logo, então, quindi,
    dunque, perciò, dus, więc, zatem, takže, tedy, поэтому, значит, следовательно, итак, итого, тож, yani, dolayısıyla, vậy, do đó, vì
    vậy, jadi, oleh karena itu, alltså, därför, derfor, 因此, 所以, 故, 综上, 综上所述, したがって, よって, つまり, そのため, 따라서, 그러므로, 그래서, ดังนั้น, इसलिए,
    لذلك, إذن, بنابراین""",
    Kind.IT: """i mean, i meant, sorry, my mistake, my bad, on second thought, on second thoughts, no wait, the one, if i see it correctly, if i'm not
    mistaken, if i am not mistaken, unless i'm mistaken, unless i am mistaken, undoubtedly, too, as
    well, sure, ok, okay, it, it's, that's, that, this, that one, that one's, this one, this one's, its, that'd be, it'd be, all
    things considered, presumably, assistant, output, es, dies, que es, che sia, che è, что, что это, dass, dass es, esta es, also,
    wahrscheinlich, det, itu, c'est, que c'est, probablement, if i had to, if i have to, if i must, if we had to, if forced, probablemente,
    provavelmente, probabilmente, waarschijnlijk, 那么, 可能是""",
    Kind.YES: """yup, yea, yas, yes, yeah, yep, ja, oui, sí, sim, да, tak, はい, 네, 是的""",
    Kind.BUT: """but, but rather, or rather, sondern, mais, sino, mas, ma, bensì, maar, ale, а, 而是, 하지만, aber, pero, но, however, yet""",
    Kind.AND: """but so is, but so are, but so does, so is, so are, so does, so do, so was, and, or, or else, vs, versus, then, 还是, 還是, and then, and finally, and lastly,
    followed by, before, after, and/or, as well as, plus, through, thru, und, oder, sowie, et, ou, y, e, u, ed, en, of, i, oraz, lub,
    albo, nebo, и, или, та, або, ve, veya, và, hoặc, dan, atau, och, eller, tai, și, sau, és, vagy, και, ή, 和, 或, 与, 與, 及, 以及, 或者, と,
    か, または, や, 및, 또는, 와, 과, และ, หรือ, और, या, و, أو, یا, ਜਾਂ, ਅਤੇ, किंवा, आणि, वा, અથવા, અને, அல்லது, மற்றும், లేదా, మరియు, അല്ലെങ്കിൽ, ಅಥವಾ, ose,
    dhe, eða, ან, და, կամ, va, yoki, және, немесе, жана, болон, эсвэл, və, və ya, yaxud, і, lan, jeung, iyo, eta, edo, සහ, හෝ, ແລະ, ຫຼື,
    និង, ឬ, နှင့်, သို့မဟုတ်, እና, ወይም, ଏବଂ, ଅଥବା, আৰু, এবং, বা""",
    Kind.BECAUSE: """cause of, cuz, coz, cos, bc, because, since, as, for, due, due to, given, based, based on, per, where, which, when, over, among, from, by,
    out of, again, according, weil, da, denn, parce que, parce qu', car il, car elle, car la, car le, car on, car l', car les, car un,
    car une, car dans, puisque, porque, ya que, pues, pois, já que, perché, poiché, omdat, want, ponieważ, bo, protože, потому, так
    как, поскольку, çünkü, vì, bởi vì, karena, sebab, eftersom, fordi, koska, لأن, لان, क्योंकि, 왜냐하면, 因为, 因為""",
    Kind.ALTHOUGH: """although, though, even though, even if, while, whereas, despite, obwohl, zwar, bien que, aunque, embora, sebbene, хотя, 虽然, 雖然, 尽管""",
    Kind.IF: """most would, many would, some would, few would, others would, anyone could, anybody could, everyone says, my friend says, colleague says,
    format should, format must, format is, the alternative is, example of, an example, previous question, last question, other question, last time,
    default answer, note, note that, for example, for instance, your answer should, your answer must, according to option, chosen by, selected by,
    picked by, you said, he said, she said, they said, somebody said, previous answer,
    earlier answer, second choice, 2nd choice, people often, many people, most people, others answered, others say, others said, others chose, if,
    whether, people would say, people say, people might, some would say, some might, may, might, was inclined to, was going to, was
    tempted to, had he, had she, had it, had they, had the, were it, would have, suppose, assume, assuming, supposing, unless, wenn,
    ob, si, jeśli, если, ли, eğer, nếu, jika, 如果, 是否, 若, もし, 만약, 만일, إذا, thought, could think, considered, initially, at first, first
    thought, originally, could have, mistake, mistaken for""",
    Kind.POSSIBLE: """unreadable, illegible, incomplete, garbled, irrelevant to, debated, a joke, a trap, a distractor, strange,
    error, remains to be, needs to be, to continue, to proceed, to start, i do not understand, i don't understand, i don't get it, i
    do not get it, i don't get, no sense, doesn't make sense, does not make sense, ambiguous, vague, confusing, odd, weird, blank,
    empty, missing text, cut off, truncated, misspelled, a typo, typo, possible, plausible, conceivable, potential, similar, tempting,
    debatable, questionable, unclear, uncertain, could be true, may be true, might be true, could be right, may be right, might be
    right, could be correct, may be correct, might be correct""",
    Kind.DISCUSS: """see, regarding, clarify, describe, explain, discuss, about, looking at, look at, start with, starting with, let's, lets, let me,
    analyze, analyse, analyzing, analysing, analysis, evaluate, evaluating, evaluation, consider, considering, examine, examining, go
    through, step by step, each option, each choice""",
}
#: Each word or phrase, in lower case, with its kind.
KINDS: Final = {
    " ".join(word.split()): kind for kind, words in _WORDS.items() for word in words.split(",")
}

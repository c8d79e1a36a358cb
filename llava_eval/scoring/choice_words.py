# ruff: noqa: E501, RUF001
"""Words with which models state an option, by what they do, in the languages they answer most in.

Each constant is a pattern without anchors. English comes first, then other languages in no order;
a language is added by its words for answer, option, is, right, wrong and not.
"""

from __future__ import annotations

import re


def any_of(words: str) -> str:
    """Return a pattern of words or phrases, given one after the other with "|" between them.

    A "+" stands for white space. Words of scripts with spaces end and begin at word boundaries.
    """
    patterns = []
    for word in words.replace("\n", " ").split("|"):
        text = re.sub(r"\s*\+\s*", r"\\s+", word.strip())
        if not text:
            continue
        begins = r"\b" if _is_spaced(text[0]) else ""
        ends = r"\b" if _is_spaced(text[-1]) else ""
        patterns.append(f"{begins}{text}{ends}")
    return f"(?:{'|'.join(sorted(patterns, key=len, reverse=True))})"


def _is_spaced(character: str) -> bool:
    """Return whether a character is of a script that puts spaces between words."""
    return character.isalpha() and not "\u0e00" <= character <= "\u0eff" and character < "\u2e80"


ANSWER = any_of(
    r"""answer | answers | ans | response | solution | conclusion | final+choice | final+option
    | correct+choice | correct+option | right+choice | right+option | best+choice | best+option
    | correct+one | right+one | my+choice | my+pick | my+guess | my+selection | correct+letter
    | prediction | vote | guess | pick | decision | verdict | selection | label | key+answer | correct+statement | correct+description
    | antwort | lösung | réponse | bonne+réponse | respuesta | solución | resposta | gabarito
    | risposta | soluzione | antwoord | odpowiedź | odpověď | odpoveď | ответ[а-я]* | відповідь
    | cevap | cevab\w* | yanıt\w* | đáp+án | câu+trả+lời | jawaban | jawabannya | svar | svaret
    | vastaus | răspuns | răspunsul | válasz | απάντηση | 答案 | 正解 | 正答 | 答え | 回答 | 解答
    | 正确选项 | 正確選項 | 答 | 正しいの | 정답 | 답변 | 답 | คำตอบ | उत्तर | जवाब | उत्तर | উত্তর
    | الإجابة | الاجابة | إجابة | الجواب | جواب | پاسخ | התשובה | תשובה"""
)
OPTION = any_of(
    r"""option | options | choice | choices | letter | alternative | statement | candidate
    | möglichkeit | auswahl | buchstabe | variante | choix | proposition | lettre | opción
    | opcion | letra | inciso | opção | opcao | alternativa | opzione | lettera | scelta | optie
    | opcja | opcji | вариант | варианта | вариантом | варіант | seçenek | seçeneği | şık | şıkkı
    | lựa+chọn | phương+án | pilihan | opsi | 选项 | 選項 | 選択肢 | 选择 | 項 | 项 | 번 | 선택지
    | 보기 | 옵션 | ข้อ | ตัวเลือก | विकल्प | الخيار | خيار | الحرف | گزینه"""
)
IS = any_of(
    r"""is | are | be | was | would+be | should+be | must+be | has+to+be | have+to+be | will+be
    | has+got+to+be | ought+to+be | can+be | could+be | may+be | might+be | can+only+be | appears+to+be | seems+to+be | seems
    | remains | equals | 's | ist | lautet | wäre | muss | sein | est | serait | doit+être | es
    | sería | seria | debe+ser | é | è | sia | sea | seja | soit | sarebbe | deve+ser | to | jest | je | это | є | là
    | adalah | ialah | är | er | on | este | είναι | 是 | 为 | 為 | 应为 | 应该是 | 應該是 | 应是
    | 就是 | 選 | 选 | 应选 | 应该选 | は | では | じゃ | で | が | 은 | 는 | 이 | 가 | คือ | है | هي | هو | היא | হলো
    | হল | est+la | es+la"""
)
#: What may stand between these words and the letter.
FILL = any_of(
    r"""the | an | a | my | our | your | likely | most | very | probably | definitely | clearly | certainly | surely
    | simply | just | indeed | therefore | thus | hence | then | obviously | actually | only | really
    | correct | right | best | final | labeled | labelled | given+by | represented+by | as+follows
    | here | with | by | under | following | die | der | das | den | wohl | also | eindeutig | klar
    | daher | richtige | korrekte | la | le | l' | donc | sûrement | clairement | bonne | correcte
    | el | los | correcta | claramente | o | os | correta | il | lo | una | quindi | corretta
    | giusta | de | het | juiste | correcte | prawidłowa | poprawna | správná | правильный | верный
    | тогда | doğru | đúng | yang | benar | adalah | rätt | oikea | helyes | 选项 | 選項 | 我认为
    | 我認為 | 应该 | 應該 | 应当 | 很可能 | 可能 | 最有可能 | 显然 | 正确 | 正确的 | 选择 | 選擇
    | 選択肢 | 正しい | 正しいのは | 선택지 | 보기 | 옵션 | 바로 | सही | विकल्प | الصحيحة | الصحيح
    | درست | η | το | ο | a"""
)
RIGHT = any_of(
    r"""correct | right | true | accurate | best | better | answer | my+guess | my+choice | my+pick | my+vote | my+selection
    | more+accurate | more+likely | more+plausible | more+fitting | most+accurate | most+likely
    | most+appropriate | best+answer | only+option | only+one | only+choice | only+answer
    | only+possibility | the+one | richtig | richtige | korrekt | zutreffend | trifft+zu | stimmt
    | juste | exacte? | correcte? | bonne+réponse | correct[ao] | verdader[ao] | adecuada | cert[ao]
    | corret[ao] | corrett[ao] | giust[ao] | esatt[ao] | juist | goed | prawidłowa | poprawna | správná
    | правильный | правильная | правильно | верный | верно | верен | верна | правильним | doğru
    | doğrudur | doğru+cevaptır | đúng | chính+xác | benar | tepat | rätt | rigtig | riktig | oikein
    | corect | helyes | σωστή | 正确 | 正確 | 对(?![面方于应]) | 对的 | 對的 | 答案 | 最符合 | 最合适 | 最佳 | 正解
    | 正しい | 正答 | 答え | 適切 | 정답 | 맞 | 옳 | 답 | ถูกต้อง | सही | صحيح | صحيحة | الصحيح
    | الصحيحة | درست | נכונה"""
)
WRONG = any_of(
    r"""wrong | incorrect | false | inaccurate | untrue | invalid | implausible | impossible
    | unlikely | least+likely | least | worst | opposite+of | irrelevant | eliminated | excluded | ruled+out | out | rejected | dismissed
    | mistaken | contradicted | refuted | disproved | absent | missing | unsupported | inconsistent | falsch | unzutreffend | scheidet+aus | scheiden+aus
    | ausgeschlossen | faux | fausse | fausses | incorrecte? | incorrectes | incorrec?t[ao]s? | fals[ao]s?
    | erróne[ao] | errad[ao]s? | descartad[ao] | sbagliat[ao] | errat[ao] | onjuist | fout
    | błędna | nieprawidłowa | špatná | неверный | неверна | неверно | неверен | неправильный
    | неправильно | неправильна | yanlış | yanlıştır | sai | salah | fel | forkert | feil | väärin
    | greșit | helytelen | λάθος | 错误 | 錯誤 | 错 | 錯 | 排除 | 誤り | 間違い | 間違って | 不正解
    | 誤って | 違います | 틀 | 오답 | ผิด | गलत | خطأ | خاطئ | خاطئة | غير+صحيح | نادرست"""
)
NOT = any_of(
    r"""not | \w*n't | isnt | doesnt | cannot | never | neither | nor | far+from | hardly
    | nicht | kein | keine | weder | noch | pas | n'est | ni | no | não | nem | non | né | nie | niet
    | geen | не | нет | ані | değil | không | không+phải | chẳng | bukan | tidak | inte | ikke | ej | ei
    | nu | nem | δεν | όχι | 不 | 没 | 沒 | 非 | 未 | ない | ません | ありません | 아니 | 아닙 | 않 | ไม่ | ไม่ใช่ | नहीं
    | ليس | ليست | لا | نیست | לא"""
)
#: Stand before what is no answer.
UNLIKE = any_of(
    r"""anything+but | all+but | everything+but | rather+than | instead+of | as+opposed+to | unlike | except | except+for | excluding
    | other+than | than | besides | aside+from | apart+from | rule+out | rules+out | ruling+out | ruled+out
    | eliminate | eliminates | eliminating | eliminated | exclude | excludes | rejecting | reject
    | discard | contrary+to | statt | anstatt | anstelle+von | außer | plutôt+que | au+lieu+de | sauf
    | excepté | en+lugar+de | en+vez+de | excepto | descarto | ao+invés+de | em+vez+de | exceto
    | invece+di | piuttosto+che | tranne | in+plaats+van | behalve | zamiast | oprócz | вместо | кроме
    | исключаем | yerine | dışında | thay+vì | ngoại+trừ | loại | alih-alih | kecuali | i+stället+för
    | 而不是 | 而非 | 并非 | 排除 | 除了 | 不是 | 不选 | 不選 | 除外"""
)
#: Stand before the letter that somebody chooses or ends with.
CHOOSE = any_of(
    r"""choose | chose | chosen | choosing | pick | picked | picking | select | selected | selecting
    | suggests? | supports? | indicates? | confirms? | implies | imply | get | gets | we+have
    | go+for | goes+for | going+for | suppose | assume | presume | suspect | guessing
    | described+by | go+with | goes+with | going+with | went+with | opt+for | opting+for | vote+for | settle+on
    | say | guess | believe | think | answer+with | conclude | conclude+that | inclined+to+say
    | lean+towards? | leaning+towards? | corresponds+to | correspond+to | corresponding+to
    | aligns+with | align+with | points+to | point+to | matches | matching | consistent+with
    | looks+like | look+like | seems+like | sounds+like | prefer | favou?r
    | leaves | leaves+only | leaving | leaving+only | leaves+us+with | leaving+us+with
    | if+i+had+to+guess | if+i+have+to+guess | if+i+had+to+choose | if+i+must+choose
    | wähle | entscheide+mich+für | nehme | glaube | denke | choisis | opte+pour | il+s'agit+de
    | elijo | escojo | selecciono | creo+que | escolho | acho+que | scelgo | credo+che | kies
    | wybieram | vyberu | volím | выбираю | думаю | обираю | seçiyorum | chọn | tôi+chọn | memilih
    | pilih | saya+memilih | väljer | vælger | velger | valitsen | aleg | 选择 | 選擇 | 选 | 選 | 认为 | 觉得 | 认为是 | 觉得是
    | 应选 | 应该选 | 故选 | 我选 | 所以选 | 因此选 | เลือก | ตอบ | أختار | اختر"""
)
#: Stand at the start of a sentence or clause, before the letter that follows from it.
SO = any_of(
    r"""so | thus | hence | therefore | consequently | accordingly | finally | final | overall
    | in+conclusion | to+conclude | in+summary | definitely | clearly | probably | likely
    | most+likely | surely | certainly | obviously | undoubtedly | sure | ok | okay | yes | yeah
    | correct | right | result | verdict | it | it's | that's | that | this | must+be | has+to+be
    | but | but+rather | only | or | and | then | presumably | maybe | perhaps | possibly | its | that'd+be | it'd+be | i'd | i+would | assistant | output
    | es | è | é | das | dies | это | esta+es | sarebbe | also | daher | deshalb | somit | folglich | richtig | wahrscheinlich | sondern | ja
    | donc | ainsi | par+conséquent | c'est | mais | probablement | oui | por+lo+tanto | por+tanto
    | entonces | así+que | sino | probablemente | sí | portanto | logo | então | mas | provavelmente
    | sim | quindi | dunque | perciò | ma | bensì | probabilmente | dus | maar | waarschijnlijk
    | więc | zatem | ale | takže | tedy | поэтому | значит | следовательно | итак | итого | а | тож
    | yani | dolayısıyla | vậy | do+đó | vì+vậy | jadi | oleh+karena+itu | alltså | därför | derfor
    | 因此 | 所以 | 故 | 综上 | 综上所述 | 而是 | 那么 | したがって | よって | つまり | そのため
    | 따라서 | 그러므로 | 그래서 | 应该是 | 應該是 | 可能是 | 是 | 选 | 選 | ดังนั้น | इसलिए | لذلك | إذن | بنابراین"""
)
#: Join letters to one group.
AND = any_of(
    r"""and | or | then | and+then | followed+by | before | after | and/or | nor | as+well+as | plus | und | oder | sowie | noch | et | ou | y | o | u | e
    | ed | en | of | i | oraz | lub | albo | a | nebo | и | или | та | або | ve | veya | và | hoặc | dan
    | atau | och | eller | ja | tai | și | sau | és | vagy | και | ή | 和 | 或 | 与 | 與 | 及 | 以及 | 或者
    | と | か | または | や | 및 | 또는 | 와 | 과 | และ | หรือ | और | या | و | أو | یا"""
)
#: May follow a stated letter where its clause goes on; nothing that could make it an article's or a
#: name's ("A blue car", "C major").
GOES_ON = any_of(
    r"""because | since | as | for | due | given | based | where | which | when | while | whereas
    | rather | instead | not | but | with | according | i | it | this | that | the | there | they | he
    | she | we | you | thus | so | hence | therefore | and | or | is | are | was | would | if | by
    | among | from | over | out+of | here | again | can | shows | describes | matches | says | states
    | weil | da | denn | und | nicht | statt | sondern | parce+que | car | puisque | et | pas | plutôt
    | porque | ya+que | pues | no | en+lugar | y | pois | já+que | não | em+vez | perché | poiché | e
    | non | omdat | want | niet | ponieważ | bo | nie | protože | потому | так+как | поскольку | а | не
    | çünkü | vì | bởi+vì | karena | sebab | bukan | eftersom | fordi | koska"""
)
#: Make what follows no statement: nobody says that it is so.
UNSAID = any_of(
    r"""if | whether | supposing | unless | wenn | ob | falls | si | se | als | jeśli
    | если | ли | eğer | nếu | jika | 如果 | 是否 | 若 | もし | 만약 | 만일 | हाँलाकि | إذا | thought
    | might+think | may+think | could+think | considered | tempting | initially | at+first | first+thought | originally | might+have | could+have"""
)

"""Contractions as VQA's evaluation puts their apostrophes right, odd entries included.

Source: GT-Vision-Lab/VQA, vqaEval.py, contractions; those that lower-casing makes unreachable
("Im", "Ive") are left out.
"""

from __future__ import annotations

#: The written form, "=", and the forms that become it.
_TABLE = """
    ain't=aint aren't=arent can't=cant couldn't=couldnt couldn't've=couldn'tve,couldnt've
    could've=couldve didn't=didnt doesn't=doesnt don't=dont hadn't=hadnt
    hadn't've=hadn'tve,hadnt've hasn't=hasnt haven't=havent he'd=hed he'd've=he'dve,hed've
    he's=hes how'd=howd how'll=howll how's=hows isn't=isnt it'd=itd it'd've=it'dve,itd've
    it'll=itll ma'am=maam mightn't=mightnt mightn't've=mightn'tve,mightnt've might've=mightve
    mustn't=mustnt must've=mustve needn't=neednt not've=notve o'clock=oclock oughtn't=oughtnt
    'ow's'at='ow'sat,'ows'at,ow's'at shan't=shant she'd've=she'dve,shed've shouldn't=shouldnt
    shouldn't've=shouldn'tve,shouldnt've should've=shouldve somebodyd=somebody'd
    somebody'd've=somebody'dve,somebodyd've somebody'll=somebodyll somebody's=somebodys
    someone'd=someoned someone'd've=someone'dve,someoned've someone'll=someonell
    someone's=someones something'd=somethingd something'd've=something'dve,somethingd've
    something'll=somethingll that's=thats there'd=thered there'd've=there'dve,thered've
    there're=therere there's=theres they'd=theyd they'd've=they'dve,theyd've they'll=theyll
    they're=theyre they've=theyve 'twas=twas wasn't=wasnt we'd've=we'dve,wed've weren't=werent
    we've=weve what'll=whatll what're=whatre what's=whats what've=whatve when's=whens
    where'd=whered where's=wheres where've=whereve who'd=whod who'd've=who'dve,whod've
    who'll=wholl who's=whos who've=whove why'll=whyll why're=whyre why's=whys won't=wont
    wouldn't=wouldnt wouldn't've=wouldn'tve,wouldnt've would've=wouldve y'all=yall
    y'all'd've=y'all'dve,y'alld've,yall'd've y'all'll=y'allll,yall'll you'd=youd
    you'd've=you'dve,youd've you'll=youll you're=youre you've=youve
"""

#: By found form, the form that it becomes.
CONTRACTIONS = {
    found: written
    for entry in _TABLE.split()
    for written, _, forms in [entry.partition("=")]
    for found in forms.split(",")
}

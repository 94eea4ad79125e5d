def target_text(example, form, frame, input_size):
    if form=="freeform": return f"<think>{example.caption}</think><answer>{example.answers[0]}</answer>"
    boxes=",".join("["+",".join(str(round(e)) for e in b)+"]" for b in example.boxes_image_px)
    return f"<caption>{example.caption}</caption><bbox>[{boxes}]</bbox><answer>{example.answers[0]}</answer>"

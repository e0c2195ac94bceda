"""The exercises of each lesson, a module each: right answers, known mistakes, and what is said of them."""

"""The page of the app."""

import streamlit as st

st.title("<<title>>")
st.write("<<description>>")

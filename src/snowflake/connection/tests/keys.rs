//! Keys that `openssl` made only for these tests: one RSA key in all formats, and some unsupported keys. Only their bodies are
//! stored, so that neither readers nor scanners take them for keys that open something.

/// The passphrase of the encrypted keys.
pub(super) const PASSPHRASE: &str = "open sesame 42";

/// `openssl rsa -pubout -outform DER | openssl dgst -sha256 -binary | base64`.
pub(super) const FINGERPRINT: &str = "/mB3NMtD/US2MOr4zW/14i4UPlRQNkWg2GdaoUt29iE=";

/// A key's label, and its body.
pub(super) struct Key(&'static str, &'static str);

impl Key {
    /// As a file holds it.
    pub(super) fn pem(&self) -> String {
        let body: Vec<char> = self.1.chars().filter(|c| !c.is_whitespace()).collect();
        let lines: Vec<String> = body.chunks(64).map(|line| line.iter().collect()).collect();
        format!("-----BEGIN {0}-----\n{1}\n-----END {0}-----\n", self.0, lines.join("\n"))
    }
}

/// `openssl pkcs8 -topk8 -nocrypt`.
pub(super) const PLAIN: Key = Key(
    "PRIVATE KEY",
    "
    MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC+h68YCqreRSfpa/NCB0kdSWrVdj3BbprWBLlwUxgXBeRWFeP/+QtS448aiIQ4
    NL53+IFMBS9uj8qEUtX6B98Yf9oPOS05gbJwj2EdscPb1ru8AriG040Tv+RNyMqVSi8spMb/VB0GzigVVJTcxLs3zabStVGPaqrdxbG+i5b4m1SP
    ACjHyFwVvvmNfYo3/b6I4YCwMlx3YyrFNkOu8fJj0R+DTK7K/fjCk4ReKYiuHH0HeFCFAlXVUuNggksBcUrPDEiTA9ZrLR2fhfgYuO5w5vkA4VVC
    WZIskPw7o6T5dt7j0gENHq6NIXVlbDlNRDoN9zV6UFpDDVGnrNgOjH+VAgMBAAECggEAE/QizrpDRc7pTKVdDwOzUQlg0mU1N35NYe+RuiVBpxub
    W7akL6kV2gLx+D3m1voTHn5ckCkU3BfcBjqkpTBQ2YB+RkzfIyAln2ssqQ72a54UAC8qwxgBtNlKYCkQqkzgHuVM3+2fsphBk2ZNxsclskTr3TJX
    DdWGen5bTJDS6Usw6fS+9oMH6lgSZd0F7he0yI4+rpXSbTGEelhI7h2v7QSc6jdGTN/EIpLXuJfIZdYBphXr3N1HvpqU2WF4odkL+2F5TAxpMGRY
    H7IMGkfPeeT9LGLaAV4B08mP9Dq3XYmsg/UJpvou/pOK0vbuA3nrNjGFTKvEqxssWD4YmW0WEQKBgQDkCxrRoDdZo3oCYsMMBf2E7GNNDwR7WoWc
    h6mURFcCzjRAWAn5ekO/BqgArs2HdQlm43Q02epucXjbZlgN17JJ2KNwLo40QsikQv3KWHL4GRcdcYMvhlmaJj94hRykZql+uIDx8i9exq1C1sCA
    e27rjQi7qyBcuPk+wjQpa8EvDQKBgQDV40NHxyF4aIju9q5XXO052A7bJQe453SqRowiVmwWSvn9l65VTYRr9nrXrydzgHyRZBe6qYpGxGy10/8V
    cldprnY/X5pYXprfq6LfndmLO2Q/i0OTelD5d+Wxhg0gAb71LD9Db0+LIGE8GwQ7ku5wYqeqFd23H77d3FXeo3owqQKBgQDgbZVdTOJsU5jWFECE
    6rhQQxyPUAJHLBVmsZTRGFjRqAKAeKSIZC2cKH7a/S3E7AfuvFc3VGeFfiNFOXnbVbZfOtfOpeLJyBgSoOOIanfrdzXqgjZrZTt1m8LHZ6mCmo6g
    6g/tDT5Vdg46Q4N8bv4Az/ISUB4vYtPZUeNoCGY9WQKBgBp5dup7i3kL92ccwZeuuO5f//bALqSEgbxR3yag6+AWh7sL+1gzsCBs8eeglpGFZeXZ
    Lda9BZCc35fiFcDh1lAOeDR/8OrfSuxEonRrZXIGd/Ilmse2bC9018mRfi5oCOrv/ySpsn7WEzMNZQi6tyjSDU7QRhFUrJtpmndkZMuBAoGBAI8e
    aYCWL61TyPam6f0KImz0VkIfsPJyOxZLhKbeU0uwq3h6SwjJKgfc+avYJqk3zqfd7cv4+2c7m6CTN0RmMGx6ZYB7rXOtMpiQyPwFsCf31pNqU4LK
    P0FlZS7kuX3C8jAc6/tYW2G18mKzyQt993KMQRiWWwvHWRCO3IVFvhg2
    ",
);

/// `openssl rsa -traditional`.
pub(super) const PKCS1: Key = Key(
    "RSA PRIVATE KEY",
    "
    MIIEpAIBAAKCAQEAvoevGAqq3kUn6WvzQgdJHUlq1XY9wW6a1gS5cFMYFwXkVhXj//kLUuOPGoiEODS+d/iBTAUvbo/KhFLV+gffGH/aDzktOYGy
    cI9hHbHD29a7vAK4htONE7/kTcjKlUovLKTG/1QdBs4oFVSU3MS7N82m0rVRj2qq3cWxvouW+JtUjwAox8hcFb75jX2KN/2+iOGAsDJcd2MqxTZD
    rvHyY9Efg0yuyv34wpOEXimIrhx9B3hQhQJV1VLjYIJLAXFKzwxIkwPWay0dn4X4GLjucOb5AOFVQlmSLJD8O6Ok+Xbe49IBDR6ujSF1ZWw5TUQ6
    Dfc1elBaQw1Rp6zYDox/lQIDAQABAoIBABP0Is66Q0XO6UylXQ8Ds1EJYNJlNTd+TWHvkbolQacbm1u2pC+pFdoC8fg95tb6Ex5+XJApFNwX3AY6
    pKUwUNmAfkZM3yMgJZ9rLKkO9mueFAAvKsMYAbTZSmApEKpM4B7lTN/tn7KYQZNmTcbHJbJE690yVw3Vhnp+W0yQ0ulLMOn0vvaDB+pYEmXdBe4X
    tMiOPq6V0m0xhHpYSO4dr+0EnOo3RkzfxCKS17iXyGXWAaYV69zdR76alNlheKHZC/theUwMaTBkWB+yDBpHz3nk/Sxi2gFeAdPJj/Q6t12JrIP1
    Cab6Lv6TitL27gN56zYxhUyrxKsbLFg+GJltFhECgYEA5Asa0aA3WaN6AmLDDAX9hOxjTQ8Ee1qFnIeplERXAs40QFgJ+XpDvwaoAK7Nh3UJZuN0
    NNnqbnF422ZYDdeySdijcC6ONELIpEL9ylhy+BkXHXGDL4ZZmiY/eIUcpGapfriA8fIvXsatQtbAgHtu640Iu6sgXLj5PsI0KWvBLw0CgYEA1eND
    R8cheGiI7vauV1ztOdgO2yUHuOd0qkaMIlZsFkr5/ZeuVU2Ea/Z6168nc4B8kWQXuqmKRsRstdP/FXJXaa52P1+aWF6a36ui353ZiztkP4tDk3pQ
    +XflsYYNIAG+9Sw/Q29PiyBhPBsEO5LucGKnqhXdtx++3dxV3qN6MKkCgYEA4G2VXUzibFOY1hRAhOq4UEMcj1ACRywVZrGU0RhY0agCgHikiGQt
    nCh+2v0txOwH7rxXN1RnhX4jRTl521W2XzrXzqXiycgYEqDjiGp363c16oI2a2U7dZvCx2epgpqOoOoP7Q0+VXYOOkODfG7+AM/yElAeL2LT2VHj
    aAhmPVkCgYAaeXbqe4t5C/dnHMGXrrjuX//2wC6khIG8Ud8moOvgFoe7C/tYM7AgbPHnoJaRhWXl2S3WvQWQnN+X4hXA4dZQDng0f/Dq30rsRKJ0
    a2VyBnfyJZrHtmwvdNfJkX4uaAjq7/8kqbJ+1hMzDWUIurco0g1O0EYRVKybaZp3ZGTLgQKBgQCPHmmAli+tU8j2pun9CiJs9FZCH7DycjsWS4Sm
    3lNLsKt4eksIySoH3Pmr2CapN86n3e3L+PtnO5ugkzdEZjBsemWAe61zrTKYkMj8BbAn99aTalOCyj9BZWUu5Ll9wvIwHOv7WFthtfJis8kLffdy
    jEEYllsLx1kQjtyFRb4YNg==
    ",
);

/// `openssl pkcs8 -topk8 -v2 aes-256-cbc`.
pub(super) const AES: Key = Key(
    "ENCRYPTED PRIVATE KEY",
    "
    MIIFLTBXBgkqhkiG9w0BBQ0wSjApBgkqhkiG9w0BBQwwHAQIJRnar3b+ujYCAggAMAwGCCqGSIb3DQIJBQAwHQYJYIZIAWUDBAEqBBCy3Tu/NGWx
    xWHo9wbeOWpiBIIE0Oeqp3gvjSXY9YRMQFWcEPUayQUEjI4oD2TMFaihT2D9JCJgmVzfsh1GCnxalb3AmNlCtLYETjdqfcBbu8XP7ELOOOMespKI
    RIR1N8wQXfZbmjfvZn+bB9wP3K4WL1hA4jT7bKhkbc4PCm4LaF8ws7h4LIEga7A7Iq29r17CDUYhdRaJ1v7VDpd50WCnYkY5GaIXzCsHMWWuXU0N
    xQOXOup0wOhQgi7TsXhYY18UKUVPfBm/uRlAhfJKbls0IyuLPIzw2xGdRBF+6QREInjV9lJPTVreSx0LQIhF0EhRTUNUznsbfkQgVV5Vckn/FOMk
    sQEN/JH5Qbc+98dhFqMUc8kvj1fVrkERaA7O2dK5U2WsQRSRrYQ6Pnjhj4ilRwpyXKfcVCjn+6ikWyZcUhMfebIWllstHCJPJKIPNYwE+2ztvoEE
    cLwDBniFuvkjYWiHGzc9DCqrNnBqcT8ljihNgRbU71BTLji/8knnVGF3PBXrmW9R4ZJDtClbCxLtF92o+1gfZ5/1OFLJMIFx9ZuADi7BhBhVIuCz
    hRSiOsB3+sw+yrK0I+pfVhHuW6b16GZVE3b2bSKmv5WYlxMxq9w52YCTPMHhBX8EDeDDJITcxRPcmyKbBJty19bxua/9UftYl6qH+ryvMGihLIO2
    wnEOjtWSp2ccRwBfr3ZYTHJvMBNslreiYKXe1s0jrf+0iSEb/vL0YgwuuVewNZCE0ySY8Vizf2WNNHn5S9AHjmLet5FtL9nynL/n/wP39VLX89EX
    AL9jdqqg5kiGDpkMkVJuNtudW+BgozNq6491tIiwHGHrZCbgt4bSzdMWXgqVzwupJ9EkmoQTDH259CgwGZrfeawMIq9VSIoCHjGUg8Qsy8IMr0Vh
    xpVAFbDi4j7JWuRkrwAvxXkB32ItZnuLOOCE0rI7FNi1a7yNG/Mr+JIbNm/GthpkAHXcBaq8T7cP7+hwIp5KtodGZOCMXDRJ/mj61zwstKZ03Xnn
    qwKG3Wjt8niQoBC8NTkoXgKNx50IbBAZyRHK2qvlttxGtAtm+Q79BADdYzcbxYqpReeZtVnGoP0rREok7NMU8ANVA72ewQuWJ50VBgClqOimjilr
    xkO0gFxoj60joj7etC+UzuwlbRYABQHZvhWMILC8SQLOu08fokHPNXBNV1HWwkZiWp0IU1i0wbGp2lrIaWHVx0yCQ0Eaa5Tb+Tud5ywyWlqQzV8K
    N5lX5gnkcpMNeTbZJLW9xqctGiTZz5m+TKRZr4NEzIEE6etMcVOHhQJj0KHWa1NbjN0+fnV8cphSd2BG9ZKgM72ZaTVZ4YqiFrCZzmrt7eZhFj/c
    S/cQDD533/gMF0RQNKp7ccT1ptrrq+D6jAfvibxkxKyvWOJXXfDA4ryPiLv9+X0MZm3Rg+L9K+kIoFBkk+6jQDCpF4KzdUbISfxw1qHlUg/vdXwG
    OwHpcryR+yT4/hl80A7Y9zGxEqXMJC7j7tkOz+59XJbrqGS20eoGMRN73c10lpWKH+F0dcIiZJx93rwjbxuaD8Jv4SxUgxD0RLa4hc4YhjUw90WH
    6uWICQQsywVyydYMwH1TfBFT/rNHEcp/l+djWC5x+5rTypyZESUS5sl/2L6NiwjYer+SheWsEEpMDbrxR0GOwAfn4Qu4
    ",
);

/// `openssl pkcs8 -topk8 -v2 des3`.
pub(super) const DES3: Key = Key(
    "ENCRYPTED PRIVATE KEY",
    "
    MIIFHDBOBgkqhkiG9w0BBQ0wQTApBgkqhkiG9w0BBQwwHAQIJaW9a1U7y0wCAggAMAwGCCqGSIb3DQIJBQAwFAYIKoZIhvcNAwcECH9Ku345FA9j
    BIIEyGVbosPo1Yml6eWnSEYr/UzZBA2SmrIomMFNXoDl+4r15SixYBInnFVjNGNDkGm8WEYwPElKuOMfv1qFe9wcmEwHaetMMqueHacvTfMzzJIA
    q6VKP9ugBvxjOMaAjjfjba7wmug+Bpu7vFOffT4QvFWacn19P0GhKUvwreCKfxXPFG7OaKPtZUKkQQDpG6wQBfkNrfhVqhn+4Bjd29Tc+m5rBcsu
    cbHShSxteUCoFTRRFRRk3/vGCTC9fTvolpyM9rgquYmofmVwDSUkNU0P5DqreZZRwfgaFqC5eXBNAmpEOhL1XaJq0F+8MY9yfJbWoSBJeqJApxy3
    iXzb3UEBjpwIC6z4FtSZFUDOPiOe+43V3Y5fP0mOSEfXGglQCtDHd5k9GvhoN1wTu6UFiiLYBgy0wiDx+FkRQ2fE0/MiRDWcQ1wj4+TcoqoyCNMd
    AAP31Ilzogk3ScnBzWs4d6BaLx0xh1TdHggpdrCOxdavz7eoMaJxGsFqLDK18hI1EePEOzUpioWkvebQZzvrdNFxKOgTB/JvMvpbd/RFgerCfMGi
    3/gJf7gBKjI7xK3ZMAfLz2HaSD9jAR14cuaFoYn2cYGHbn+42tDJwSHWnX7ycr9jRMHOeQ+qb2tXOFzfbAfbQcW0VwB+EKvRko8g6VN72Ys6DsPf
    /wuF4Bjz877/yzCv87BPR6k2Ye4NqxcOm1/jR1hCpntbGBcX230QmaE7eDZBJrcfQtSLyJsLkBt+cfKHoUPvpKhnYz8itWwIXsSLfTC22e6s2xQZ
    kIbO1KwurEPrx0FKpB8eSuUebLppk509rOF25HtDszqnFmCQvQhRjXamBgTO75qpOtDhyDpIZy32dB8LRxsyD+LybSFTZFd1uJMGZ9vY70RnGqZI
    KjvDsB+MiBCd1gtNbuEEgh6uxA4n+7jWG5GQ9fuIyJSw+9pkzNMv79y8Q/bgsEDKFha5Z4dLfVzwTpfyR3+nb5WWev9iNQUkqf6gOZOJbBBoaNwI
    DL0gvAIFTXy1RxMUTXxHlvEA5nLGXk+bkqWuOeUI7NZMSxTpDA5ntPRcuAWH/cbZ7Baq58ICCZwStSLjfM/nTY0GAypPMB35dwByoUABnSS0KVX8
    dDaP/cbmfCyYKXbYWeqvHQBj6N+eROWNQ4VfYkGbhlv9IAMyxshuPtv3MAjxLLt02eUc3u+giERg5GFWJbfgs1R7jgybbbQ76VA8sK0NvLoxHyps
    38/pwA6VtALgqcdZx3dIe4OnWzcNODNiewOXS0vyBDiKJFhXoS0qi1Y7mO6etmto2LTZu3gAUcp1zDnDbwfeS4HFZkbqJWRSkU0YB2AV9YsiaX2Q
    bRGBUA/Vl4FK0LYDTypg1A9bSBooy/YnR0sd2easzOZpF7cLqcUVcaautZX7NTv+dgJ4NFmk3sfyOKqL+DfCgt9Ewgl1IaGKtjE5JsTUktlr7zN4
    wq0uo0UQZrtJ1cbUtyyhIi+6PAsaJAHegAMfxUyqrCC+i1oPa0bWidp5CJutZJnSzy2KEsrAX/Ald5Lyv3uKj19Sf6+8zBaUJovGFjhnwLCOx/m+
    Q7I073hwD1P+OHffvrs2CR91gNPD5dBBdEpVpCs39aKb2Zt4Dyfeo/YjkgkFdm9NB0xHNg==
    ",
);

/// `openssl pkcs8 -topk8 -v2 des3 -v2prf hmacWithSHA1`, the default of LibreSSL and of OpenSSL 1.0: `-v2 des3`.
pub(super) const DES3_SHA1: Key = Key(
    "ENCRYPTED PRIVATE KEY",
    "
    MIIFDjBABgkqhkiG9w0BBQ0wMzAbBgkqhkiG9w0BBQwwDgQIt/zPyYRUnvsCAggAMBQGCCqGSIb3DQMHBAgGaGmiqEGr9ASCBMiyP0SnIr6d8M1c
    x8ugKoUmdgr3IoJDzCKeviwbSbU40Hke3YmWQOGMOCyl7c+/V51eq6Gt67s5nk1jSCgHIDxmlz0PzM1Oye7Zkn82f4dtVN7cqgyu/eEGwxDgznNQ
    jpap71Ae19+JooqTn3qN7ByKOYtCm83mtATBwIL7OgDTWiE1AawOLc5fuGhByFpivDW4ikV9MAvvlpSljCTFbn88DsHdGKNHrBlAoO9IRRBOe1Uz
    z+Xai6d2vN6ReubvMNlw7xUjoaj7aWd4oMg6bFockFYxPhiMIO+ZTJC6mjUxxIdYXs1dCMCLv+kFxVDxWf6xv6LfpM8oQphlbDb8Xx8ZUDsp/TR6
    jGYt/nTVt+NsSrGm+M7BZLcxSLPi5Tcy3HKxyxo9okTgHIWiQK2frXtzbX4KGZ0GudorD9t8ljA0uyreRPRH+4ZOu6vyE6QtlF5lP2gaxqieU5by
    YHl9FyrV9JjHzXL0nYGbLnFtmJztkm3msTUSmz7crHM88dE7VHgnuXffrEQj9qp4UoO5WlAgLqI6liTP+wthjuYzgTgoF9zaUuESYmYEuTZurNoH
    2RpbnURuM27CpUJur+u8Z9x0vYwlKKqNuzwrsJEHSZBe10In/nkIFAGryWqNUK6A8BJIc0kw3R/KEhsLAcOBxoFeJv6nML4ERq7Zt2vNLZm3aARF
    ZjhxiYSWDAmhJpj5bMoxvvTi1JtGz1U9Ua1JmaQBJcmojZ3AwIG/NJY89/QYtwE6/YtacHvUFGx30qeq66gDieO3UxRGTV11q+4TTrX6y51SLAaz
    sDuJYhsH/lczi8HUzG8eqn5dOD6bdpGbET0fFO+vmgKSNGuXerjqKlXD32JicWbB7g2SmToFTJrV5XgzcZi3cmcdiwHv3ZKC7fOa2py2ledXfinc
    Eee98g/9viUJLj7h/RhzbUd4RlgU/pUB74ArkTSsp5kKClrZa9rYfFVcWa+04zIXRWR5CGpCQlStRqkeA4w4t1AiS+Z5/+ZrsvGl1We0qMI3VVci
    OaNU8M+LA0AAozquDodfDmQKajbF/vxtKUPGU3Qwj+npm2UAvp52rMRturPrzZljLYMY3c8CV3qNy4zydgEKN3v6jFPE/5ibxO25ouebQvSc8sFe
    kfr0UDqfJsxNmg6DYo5BqYQzIKGjYy2oIYqEQwdaLdblluHyCmEvdz6zrsl01Wcj91+t4Y6E8td2FtIs7t0IFgFSnkCUy60YmqWt/JZmejt3wOnY
    0P+NK6WW92HrPyGcQ3g3y2Npbm4/OyUHueG5jKXtWS79fg2eR8ayxF+00IvxuzdUbE054qlxSTfR8JybAMUdsmZ8CdOYRgA1HhWvyMjiE6r07Kus
    Muk6W1y02Iv8P7gAQdACiir9OWvXR3t+KBOjmEJFlUz+YEiuxdEHoTuok9X7FOLllVeUQdgCEVyquh2tW9x40Ex0uNzUqm9soAnEwQnO7rOEyyWX
    yrb0ZF24ZMalOAmzQV1tgwDoG5LvxB2O05k+SwAv7ZPoSr8M5wyc8+qMHIvWTLm1el6ZPWgpUsW72t3X0e3l/r47Om0ArvVNQX9upyYSN5PrrU6R
    J6qyBt8K4JNY8kFKLq2EPv4PQCQaH7w7o1yn6/N4NBbB1f/o41M=
    ",
);

/// `openssl pkcs8 -topk8 -scrypt`.
pub(super) const SCRYPT: Key = Key(
    "ENCRYPTED PRIVATE KEY",
    "
    MIIFJTBPBgkqhkiG9w0BBQ0wQjAhBgkrBgEEAdpHBAswFAQIF52m4Ka66hkCAkAAAgEIAgEBMB0GCWCGSAFlAwQBKgQQs62GMGD44fncECO6ITJ4
    GgSCBNANiGVmCSSxKFSiUD2yleaDUNjZKHnfoaI8FuNm40SE4GMfnNdNdzVy8tkOhT28LiMVOhXGJd+rml9T7y61HCism5C9IkgQSOCXbxuBOPb1
    e4SO+6KON6JVLx92BwXjp5QYSuZT2GloVTWqX9NyqD/pCfkIqRQS15XbeJ1ZDgFljINxy6VtBBCCzTDCAd0owLE8G0wZZhz6yH78ZHSiJNqd7Qc4
    ILo95nUh6Te3+eYN9DYLdo+hR45DAXS9UznvK3lsxtX3zfF6dASPsBPAuDNbt7+qtCnJxIN63avWmpf4gCIoURaudx2TqxMwlRr8tzsoeEw4auoo
    6p2tbjoo45pJBCg2a1Vh4qzQZg7m9EOQmSJHO+M8orpq4F+YstG5PCr/akyFIV3wPGeQgRPXLDhcvzkz+vmSg0mXaohSUJTzHoEBtmP1KLcZAZDw
    8KNF6oBl58kbYy+e8HNoCXcZ+00nrhrWxZ9QO6Up6vZF5v1FcpIZdFebTfTfZHA+9OYaWaA23rhDax0R4YmwSHpdh74cO6hq/FZ10MRA9W3Mesnd
    a1+585rLXC5kfL+oIJ9sNNwFFQSAXR2M5IT6+tPipKe3C+PDPmDDyIPKDhlCg4jkEcPghJvuki5zGGRsOMKuhprfBnGqenpI8YaEqqtr4loe3CzT
    aPrCWGtrLvE/hvHvtyG4/YsCrYVC7AI+0DSm/SSPUIfXufLDK3F8ObiY7r+SPTCi3J/7zVf+VauqqbNQTnJytK2cW/y/1tGEKsnxEZRYNI4XedsN
    836n3PjNzrDU2qJubKNeGOLKtTJaHXNfr3z3C0KOUB6C2GhDnJC2Ge+ph+LOw75T7Bjt/wOf4OqWQrqn2YqFoD8IZvOsmkipdKDv8MxMP0hvjWx6
    CzbG8yri7ReEE+9P1BbUpCVRF5ASHtroXU1tFYwUdm8efz5QWeYVwCZyoucZmFoRzYVly5HvvUK/2JrmsvKFRNiPj/187XtfWd/6mYPKr2FeHr1Y
    I+l+WH1zLqitVqo47KQj4XUVIkP/dnFMiTE2YnhOlqbKNzppIfuOPwg8Dy53ldFuhBUNFUKArmH0UAQlq6hjo/NbQuYou0VwkPMwijDX+yD+ns4Y
    5SyQKFaqHrAET1IOcFniZgTjwcAmm0UtOmpzkqULnRJ8AbMEg2QP6HvxAR6qMyiJCxvw9+Op74U8ruwaaExNOYDC+L9X2T6yI7LqiR8j7WkIZ/Nq
    vg6/8DVJ6CQM07/msqqtVFcZTeau8OgE81uhUGOy0pJYycDog87eePPY+X159adQLy6XEnibry3uTbb5a8M3YB5Y3jN+YgssB0zS3oO3rc6ICmxB
    6so+giWUuX8yYS6tgiX3GjWl/50SyF9X33Wd2E9uYQVn58OSxjYcT2kn24kxMD/qNDdh0UE9gu+y5TVjpdJLgERjS770MVC0D9ICSeIGlwHKuiTy
    ls8tlvEnNtlEbBDc1+8cvR1Xv4fDtRyzZ6AaCX3gVcOmltExWWw9Eg/V6AWjqO0hAUW5Xp92ub0z8NW8UenLQEX+PkjrgXHg+jWg+E4bH70ERPyq
    Pu30RKoHQBDFHVSOA5CQwuawqK9Hj0mDYns8v4XpieInimswK+4vuPLMbjDm3gu2tV6v8Gqg7qFID7XpGA==
    ",
);

/// `openssl pkcs8 -topk8 -v1 PBE-SHA1-3DES`.
pub(super) const PBES1: Key = Key(
    "ENCRYPTED PRIVATE KEY",
    "
    MIIE6jAcBgoqhkiG9w0BDAEDMA4ECPoXqmIatZoCAgIIAASCBMiGwEvrGCeV3lRimZLGFg+WQqxpjhA4Mxvv6NNTSj+7okIjrk0TkelfBDftrkIf
    I7pBg5UwzWhev9mTmWyHTJRb74K+uaGto4fagWLM0iIpud71vZDRiBeXltBzGGOzctEkw973DCAuFb2hsXOHMfqQ3bJjzFTuEYx3tavzQ0arWcdd
    4WvlNrY5QBs7Ue+YRBeSVsfMyH48rKXIZkapboAMsjpZyLj0dk2JddE5WU/jvRMVmRe1tOSZiFqKslpe5cIoZxhWarTclDmGG233sXzJQRpG4ve8
    PH1VbzGcIksOos216C3fJ3lnjjlcAcQ1PiHmX9IZmavfaphd/+Lx6wqLC0afiT8QDj2R/oqAFYBHuGL6Ce0uncIIKJMH2FNEMx2mA120DN5zyt+Q
    aUfaJjxq3eHiVfa8N6k8MVu3/kQtvGMYX4B11fxpClTaY74E1FRwI4gm2K5/PsaYQlBwdzAE13lU8POt+HzL3kgh65b4wS+nH8tpU+VZdd/323O5
    NnUIYFz6K/59Bpe1I54qVrZKasZ6DUE/+lcGwrcQkS4OCp/43jiuz/A5RhILHWpFDxcXe12z9gScgyVII5gUA7I81x76qNUYqhIkfZYyHu7IUSPw
    Wnf/4AnDEJjLiIh/l7WQ5yq8rskL+3AlqAj6ARr8/yMvUTrtBB3vW3S4Vl65aBVu+DXiKQQIAAAlmvX9uOAfXZy1loVsHhLaLF6gpN+u6XCFRTzr
    Sbe1FIjFW/KQ8LHRxH36SCpgocHxiT5mcdEEGNN+/Ghs1XNFYpS3hCBmVctlOjv13ItaWIhU8q9H2zqac4rJfMctnNN/r0zouXBc6zYuLZdQYZtQ
    oAzLk03Yl4+Hvsk9cweCiDl6K8McA1E2Vah/A0cYlbqM03bWMqgjm6EwjHCdzgKNLEsAO9HDdEAzjAB/3DooeOhwAWJMsBdbbW64M7BBNs5idMMz
    a9WIrUp9UYTpkH/ZuFHtEk0ypLkrnadwdb8T3oRPE/sna8IP9KnvdC3MRTjG0RksKLYi/MDx3L0wnj8QJXSiLfDk4Oc+zJFnuzdtYe7bJK1hbl7Q
    kGusml0DAw5p3cNKnfGNn4wsFya/rHqXK4yTo6iWfkJ2XCrCS6yD9oWNRafQEmp6BjiTemZeiWAYcjZt6CoT6GlLVxhsJt01hvAwBFER4rWsZZ8+
    VCjj6A+Lw7Ys+ZaIFTPRODiNBOILRllQc+9V/RQ87hMK4ULCu6b93s9xZXAeujM2OTx4ym5+nNWn56BJwySugf8h9tJD6CLjrbh3Zyya5amI+DXL
    n0pSVL+vyzxCuTuSSVtvbG9tflV9TCKN/VO1hesrxAlIWua+C2XYOkIkbA0WaDtUyblZXGVzPMB79yOl3TTNrc/ewBGtEX/RhJPp9t6XopvtU/On
    edbCUiA1z5cU5+eAlI+mpnoxKJBvGlfZ7dEM0YHGoSOvR0lK+zg2cL1k+er1wUIhvIt/bysZl38/OBixIVY3JTmbE6VUr+XgfbmO+ANchdQxMkqX
    aW3Ww2ZRTc+sN5RKYDmIlmeRq+8JRXxA+pXM/40RK/IEpEHbnO8s6pf6f9Iabspfm60t9zGXnTkXxYT/KG2S0X0K7o/suP3z86SszI7J2p5nFWyl
    LYo=
    ",
);

/// `openssl ecparam -name prime256v1 -genkey`.
pub(super) const ELLIPTIC: Key = Key(
    "PRIVATE KEY",
    "
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQghpsdCNMKbRE3PY0/RlJfqinkBXaWglZl4KRWchlHi3mhRANCAATOCJ48T7rsjVHt
    NA6XWwnXVd1QITjKgT0ZiIs8D+oDc4MNwJ+rEc6vZIelFLsC/9fvdyFHU9vci+wGkpYyKs4d
    ",
);

/// `openssl genrsa 1024`.
pub(super) const MAX_SYNC_BYTES: Key = Key(
    "PRIVATE KEY",
    "
    MIICdgIBADANBgkqhkiG9w0BAQEFAASCAmAwggJcAgEAAoGBAKyqWJwgW4vMwCaD9AFY17cfisbIBjVyCOd2wlTPMw76rUN4o+Z24MssnxVaNcBb
    ZCt8nbUZdRGtWJO2Fs2HMgIoL4dROXOtz1hcx613+tBfwEhsEi2Zwaa4uQmGUm0clcwKyjbjmepHa2+Jj9yy7h1G1Na25yIOvP3W0GLxC65lAgMB
    AAECgYBb3o8jEvxil+CtHYxYoyKzpq66MXdMPI6MSV4ArfYmxC4oNipO13Wn5OgH/mWXIYlcsgNfdloZu7fjcAEV/hcWukSyyXbXuHjhSwzGSpLS
    KuMjElYrzSmtrR04IfNTg9XEkn+eRydNKEvZFSb+pdgzyVXikU7cIG42fC9b0kn4iQJBAOPA1sDfkoFlXxg9cP1lgwjQgLn1Kkv9DsDkSpVxtcVr
    O+x7If0cXDekuPBgYqed/8I0WJHIeEoeXrWqURn1Mk8CQQDCFHgMIeYcrxa8vEQ0+iPn7/xltT8RpPmIEkJJlRoidYvuh1d0BiZMjpHTFJQoxpTS
    XJlJCfMOgKWLB53rbOsLAkEA3+qq+OuWTZONv/ZATVFtV9AujyVj1VvSEoEgdvdZ3+PDAYg57XDhlW9kyCfrNqKXXqc6YPH4md5r/S2bGOtB7wJA
    Xqwfd0Od/YYHYF+yIemXVE/D3lVQg6nnM1I81aoPCpoufVe1+Fn7msK9LatPLqjX9dnHyFI7J2rn1e8MQMhrywJAG8kx9MQOsAge+TD6ELpkVzeX
    /GcLJXQJkAA7J2C01ldYvQr/ngnC5TCnbF56OfabHk+W9TCt19t6tOhQf9e0kQ==
    ",
);
